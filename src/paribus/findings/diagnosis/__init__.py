"""Why a run learns badly: symptoms that its record shows, what causes them, and what would cure them."""

from paribus.findings.diagnosis.diagnose import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
