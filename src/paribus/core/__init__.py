"""The words of Paribus as types: settings, plan, record. No training here."""
