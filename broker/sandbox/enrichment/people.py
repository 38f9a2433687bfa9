"""The people that the vendors know, and those that a fresh sandbox has."""

from dataclasses import dataclass


@dataclass(slots=True)
class Person:
    """A person and an employer. `linkedin` is a handle; `likelihood` is People Data Labs', 1 to 10;
    `fuzzy` is Clearbit's mark of an unsure match.
    """

    email: str
    first_name: str
    last_name: str
    title: str = ""
    role: str = ""
    seniority: str = ""
    company: str = ""
    domain: str = ""
    industry: str = ""
    size: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    country_code: str = ""
    linkedin: str = ""
    twitter: str = ""
    github: str = ""
    bio: str = ""
    likelihood: int = 9
    fuzzy: bool = False

    @property
    def full_name(self) -> str:
        """Both names."""
        return f"{self.first_name} {self.last_name}"


SEED = (
    Person(
        "ada@analytical.example",
        "Ada",
        "Byron",
        "Head of Computing",
        "engineering",
        "director",
        "Analytical Engines",
        "analytical.example",
        "Computer Hardware",
        "51-200",
        "London",
        "England",
        "United Kingdom",
        "GB",
        "ada-byron",
        "adabyron",
        "ada",
        "Writes programs for machines that are still to be built.",
    ),
    Person(
        "grace@compilers.example",
        "Grace",
        "Murray",
        "VP Engineering",
        "engineering",
        "executive",
        "Compilers Inc",
        "compilers.example",
        "Computer Software",
        "201-500",
        "Arlington",
        "Virginia",
        "United States",
        "US",
        "grace-murray",
        bio="Found the first bug.",
    ),
    Person(
        "linus@kernels.example",
        "Linus",
        "Berg",
        "Maintainer",
        company="Kernels",
        domain="kernels.example",
        city="Helsinki",
        country="Finland",
        country_code="FI",
        github="linus",
        likelihood=3,
        fuzzy=True,
    ),
)
