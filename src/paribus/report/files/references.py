"""The sources of the methods that a study used, and Paribus itself, as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from paribus.report.files.latex import escaped


@dataclass(frozen=True)
class Source:
    """A work to cite. `called`: author and year, as text names it; `fields`: of BibTeX, as plain text, but for names of
    authors in braces."""

    key: str
    kind: str
    called: str
    fields: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, key: str, kind: str, called: str, **fields: str) -> Source:
        """From its fields by name."""
        return cls(key, kind, called, tuple(fields.items()))

    @property
    def bibtex(self) -> str:
        """One entry. A title keeps its capitals.

        >>> print(HOLM.bibtex.splitlines()[2])
          title = {{A simple sequentially rejective multiple test procedure}},
        """
        lines = [f"  {name} = {{{_value(name, text)}}},\n" for name, text in self.fields]
        return f"@{self.kind}{{{self.key},\n{''.join(lines)}}}\n"

    @property
    def line(self) -> str:
        """One line of a list of references."""
        of: Mapping[str, str] = dict(self.fields)
        authors = of["author"].strip("{}").replace(" and ", "; ")
        where = of.get("journal") or of.get("booktitle") or of.get("publisher") or of.get("note") or ""
        volume = " ".join(filter(None, [of.get("volume"), f"({of['number']})" if "number" in of else ""]))
        place = ", ".join(filter(None, [where, volume, of.get("pages", "").replace("--", "-")]))
        told = [authors + (f" ({of['year']})" if "year" in of else ""), of["title"], place]
        told += [f"Version {of['version']}"] if "version" in of else []
        return ". ".join(one for one in told if one) + "."


def _value(name: str, text: str) -> str:
    if name in ("author", "pages"):  # with BibTeX's own braces and dashes
        return text
    return f"{{{escaped(text)}}}" if name == "title" else escaped(text)


def paribus() -> Source:
    """Paribus, in the version that computes: what CITATION.cff says, which is no part of an installed package."""
    try:
        here = version("paribus")
    except PackageNotFoundError:
        here = ""
    return Source.of(
        "paribus",
        "misc",
        "The Paribus developers",
        author="{The Paribus developers}",
        title="Paribus: neural-network experiments under matched conditions",
        **({"version": here} if here else {}),
        note="Software, MIT license",
    )


STUDENT = Source.of(
    "student1908", "article", "Student 1908",
    author="{Student}", title="The probable error of a mean", journal="Biometrika", year="1908", volume="6", number="1",
    pages="1--25",
)  # fmt: skip
FISHER = Source.of(
    "fisher1935", "book", "Fisher 1935",
    author="Fisher, R. A.", title="The design of experiments", publisher="Oliver and Boyd", year="1935",
)  # fmt: skip
HARTIGAN = Source.of(
    "hartigan1969", "article", "Hartigan 1969",
    author="Hartigan, J. A.", title="Using subsample values as typical values",
    journal="Journal of the American Statistical Association", year="1969", volume="64", pages="1303--1317",
)  # fmt: skip
HOLM = Source.of(
    "holm1979", "article", "Holm 1979",
    author="Holm, S.", title="A simple sequentially rejective multiple test procedure",
    journal="Scandinavian Journal of Statistics", year="1979", volume="6", number="2", pages="65--70",
)  # fmt: skip
LAN_DEMETS = Source.of(
    "landemets1983", "article", "Lan and DeMets 1983",
    author="Lan, K. K. G. and DeMets, D. L.", title="Discrete sequential boundaries for clinical trials",
    journal="Biometrika", year="1983", volume="70", number="3", pages="659--663",
)  # fmt: skip
JENNISON_TURNBULL = Source.of(
    "jennisonturnbull1989", "article", "Jennison and Turnbull 1989",
    author="Jennison, C. and Turnbull, B. W.", title="Interim analyses: the repeated confidence interval approach",
    journal="Journal of the Royal Statistical Society, Series B", year="1989", volume="51", pages="305--361",
)  # fmt: skip
NADEAU_BENGIO = Source.of(
    "nadeaubengio2003", "article", "Nadeau and Bengio 2003",
    author="Nadeau, C. and Bengio, Y.", title="Inference for the generalization error", journal="Machine Learning",
    year="2003", volume="52", number="3", pages="239--281",
)  # fmt: skip
BENJAMINI_HELLER = Source.of(
    "benjaminiheller2008", "article", "Benjamini and Heller 2008",
    author="Benjamini, Y. and Heller, R.", title="Screening for partial conjunction hypotheses", journal="Biometrics",
    year="2008", volume="64", number="4", pages="1215--1222",
)  # fmt: skip
DROR = Source.of(
    "dror2017", "article", "Dror and others 2017",
    author="Dror, R. and Baumer, G. and Bogomolov, M. and Reichart, R.",
    title="Replicability analysis for natural language processing: testing significance with multiple datasets",
    journal="Transactions of the Association for Computational Linguistics", year="2017", volume="5", pages="471--486",
)  # fmt: skip
DODGE = Source.of(
    "dodge2019", "inproceedings", "Dodge and others 2019",
    author="Dodge, J. and Gururangan, S. and Card, D. and Schwartz, R. and Smith, N. A.",
    title="Show your work: improved reporting of experimental results", booktitle="EMNLP-IJCNLP", year="2019",
    pages="2185--2194",
)  # fmt: skip
RAMDAS = Source.of(
    "ramdas2020", "misc", "Ramdas and others 2020",
    author="Ramdas, A. and Ruf, J. and Larsson, M. and Koolen, W. M.",
    title="Admissible anytime-valid sequential inference must rely on nonnegative martingales", year="2020",
    note="arXiv:2009.03167",
)  # fmt: skip
METHODS = (
    STUDENT, FISHER, HARTIGAN, HOLM, LAN_DEMETS, JENNISON_TURNBULL, NADEAU_BENGIO, BENJAMINI_HELLER, DROR, DODGE,
    RAMDAS,
)  # fmt: skip


def bibliography(sources: Iterable[Source]) -> str:
    """An entry for each."""
    return "\n".join(one.bibtex for one in sources)
