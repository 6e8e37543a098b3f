"""Districts, branches, employees, and customers with their hidden traits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sources.synthetic.products import SLOTS, Slot
from sources.synthetic.timeline import FIRST_DAY, month, to_day

DISTRICTS = (
    "Altmark", "Brenn", "Castel", "Dolna", "Elbing", "Farnau", "Gresten", "Holm", "Iglau",
    "Jasen", "Kolin", "Lindau", "Morava", "Neustadt", "Olsen", "Pruhon", "Quell", "Rosenau",
    "Silber", "Tarnow",
)  # fmt: skip
REGIONS = ("North", "East", "South", "West")
FEMALE_NAMES = (
    "Anna", "Berta", "Clara", "Dana", "Eva", "Frida", "Greta", "Hana", "Ida", "Jana", "Karin",
    "Lena", "Marta", "Nora", "Olga", "Petra", "Rosa", "Sara", "Tereza", "Vera",
)  # fmt: skip
MALE_NAMES = (
    "Adam", "Boris", "Cyril", "David", "Emil", "Filip", "Georg", "Hugo", "Ivan", "Jan", "Karel",
    "Lukas", "Martin", "Nils", "Oskar", "Pavel", "Robert", "Simon", "Tomas", "Viktor",
)  # fmt: skip
SURNAMES = tuple(
    start + end
    for start in ("Berg", "Dorn", "Feld", "Hart", "Kraus", "Lang", "Moss", "Novak", "Stein", "Wald")
    for end in ("", "er", "mann", "sen", "ov")
)
OCCUPATIONS = ("student", "worker", "employee", "specialist", "self-employed", "unemployed",
               "retired")  # fmt: skip
STUDENT, WORKER, EMPLOYEE, SPECIALIST, SELF_EMPLOYED, UNEMPLOYED, RETIRED = range(7)
COMPANY = 7  # in place of an occupation
COMPANY_SIZES = ("micro", "small", "medium", "large")
SIZE_SHARES = (0.55, 0.3, 0.12, 0.03)
FIRM_SHARE = 0.03
# Usual net revenue a month by size: what is left when wages are paid.
NET_REVENUE = np.array([4_000.0, 10_000.0, 30_000.0, 80_000.0])
OWNED_BY_PERSON, OWNED_BY_FIRM = 0.4, 0.15
FIRM_TRADES = 0.3
# Nothing that happens to a person of a certain age happens to a firm.
AGE_OF_FIRM = 50
INDUSTRIES = ("retail trade", "crafts", "catering", "transport", "services", "farming")
EDUCATIONS = ("primary", "secondary", "vocational", "university")
MARITAL = ("single", "married", "divorced", "widowed")
SINGLE, MARRIED, DIVORCED, WIDOWED = range(4)
ROLES = ("branch_manager", "relationship_manager", "seller")
PENSION_AGE = 65
INITIAL = -1

Floats = NDArray[np.float64]
Ints = NDArray[Any]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Places:
    """Districts 0 …, branches 0 … with their district, employees 0 … with branch and role."""

    population: Ints
    average_salary: Ints  # cents a month
    unemployment: Floats
    latitude: Floats
    longitude: Floats
    branch_district: Ints
    employee_branch: Ints
    employee_role: Ints
    employee_hired: Ints


@dataclass(frozen=True)
class Population:
    """The constant attributes of customers. Arrays of length `size`; the traits are hidden."""

    size: int
    born: Ints
    female: Flags
    education: Ints
    first_name: Ints
    surname: Ints
    joined: Ints  # month index, INITIAL for those already there
    since: Ints  # day
    branch: Ints
    partner: Ints  # customer sharing the household, -1 none
    home: Ints  # customer whose current account this one uses: itself or the partner
    payday: Ints
    employer: Ints
    trader: Flags  # settles card sales with the bank
    expansion: Floats  # monthly growth of a trader's sales
    domiciled: Flags  # salary arrives here
    stops_salary: Flags  # moves the salary first when leaving
    bonus: Flags
    rent: Ints  # cents, by standing order; 0 none
    wealth: Floats
    digital: Floats  # 0 … 1
    loyalty: Floats  # standard normal; high leaves early
    risk: Floats  # standard normal; high defaults early
    growth: Floats  # yearly income growth
    intensity: Floats  # bookings, relative
    buffer: Floats  # monthly incomes kept on the current account; negative: lives in overdraft
    card_share: Floats  # of purchases, on the credit card
    repays: Floats  # share of the card statement; 1 pays all
    fee_rate: Floats  # one-off fees a month
    affinity: Floats  # (size, SLOTS), standard normal
    company: Ints  # place in COMPANY_SIZES, -1 for a person
    head: Ints  # customer at the head of the firm's group; itself without an owner
    foreign: Flags  # keeps savings and term deposits in dollars

    @property
    def firm(self) -> Flags:
        return self.company >= 0

    def age(self, day: int) -> Floats:
        return (day - self.born) / 365.25


@dataclass(frozen=True)
class Start:
    """The initial values of customers' changing attributes."""

    income: Floats
    occupation: Ints
    marital: Ints
    household: Ints
    district: Ints
    consent: Flags
    drift: Floats  # monthly growth of savings
    turnover: Floats  # monthly card sales of a trader, cents


def draw_places(customers: int, rng: np.random.Generator) -> Places:
    """Twenty districts, up to thirty branches, and staff in proportion to the customers."""
    count = len(DISTRICTS)
    column, row = np.arange(count) % 5, np.arange(count) // 5
    branches = int(np.clip(customers // 60, 4, 30))
    managed = max(branches, round(0.35 * customers / 120))
    sellers = max(branches, round(customers / 300))
    role = np.repeat([0, 1, 2], [branches, managed, sellers])
    branch = np.concatenate([np.arange(n) % branches for n in (branches, managed, sellers)])
    salary = rng.normal(2300, 330, count).clip(1600, 3400)
    return Places(
        population=rng.lognormal(11.3, 0.7, count).astype(np.int64),
        average_salary=np.rint(salary).astype(np.int64) * 100,
        unemployment=(0.11 - salary / 40_000 + rng.normal(0, 0.012, count)).clip(0.02, 0.14),
        latitude=48.8 + row * 0.55 + rng.uniform(-0.2, 0.2, count),
        longitude=12.8 + column * 1.1 + rng.uniform(-0.4, 0.4, count),
        branch_district=np.arange(branches) % count,
        employee_branch=branch,
        employee_role=role,
        employee_hired=rng.integers(to_day(2005, 1, 1), FIRST_DAY - 30, len(role)),
    )


def draw_population(
    size: int, months: int, places: Places, rng: np.random.Generator
) -> tuple[Population, Start]:
    """`size` customers: four fifths there at the start, the others joining month by month."""
    couple = np.zeros(size, dtype=bool)
    even = np.arange(0, size - size % 2, 2)
    couple[even] = rng.random(len(even)) < 0.42
    couple[1::2] = couple[even]
    index = np.arange(size)
    other = np.where(index % 2 == 0, index + 1, index - 1)
    partner = np.where(couple, other, -1)
    shares_account = np.zeros(size, dtype=bool)
    shares_account[1::2] = couple[1::2] & (rng.random(size // 2) < 0.6)
    home = np.where(shares_account, other, index)
    lead = np.where(couple & (index % 2 == 1), other, index)

    joined = np.where(rng.random(size) < 0.8, INITIAL, rng.integers(0, max(months, 1), size))[lead]
    age = rng.choice([23.0, 35.0, 48.0, 62.0, 74.0], size, p=[0.2, 0.27, 0.25, 0.17, 0.11])
    age = (age + rng.normal(0, 6, size)).clip(19, 92)
    age = np.where(joined >= 0, 19 + (age - 19) * 0.7, age)
    age = np.where(couple, (age[lead] + rng.normal(0, 3, size)).clip(21, 93), age)
    born = np.rint(FIRST_DAY - age * 365.25 - 40).astype(np.int32)
    earliest = np.maximum(born + round(18.1 * 365.25), to_day(2004, 1, 1))
    tenure = rng.beta(1.1, 1.3, size)
    since = np.rint(FIRST_DAY - 20 - tenure * (FIRST_DAY - 20 - earliest).clip(1))
    starts = np.array([month(max(int(m), 0)).start for m in range(max(months, 1))])
    since = np.where(joined >= 0, starts[joined.clip(0)] + rng.integers(0, 20, size)[lead], since)

    branch = rng.choice(
        len(places.branch_district), size, p=_branch_share(len(places.branch_district))
    )[lead]
    district = np.where(
        rng.random(size) < 0.85,
        places.branch_district[branch],
        rng.integers(0, len(DISTRICTS), size),
    )[lead]
    education = rng.choice(4, size, p=[0.12, 0.4, 0.25, 0.23])
    skill = rng.normal(0, 1, size)
    profile = 1 - ((np.minimum(age, 64) - 47) / 47) ** 2
    income = (
        0.95
        * places.average_salary[district]
        / 100
        * np.array([0.7, 0.92, 1.0, 1.45])[education]
        * profile
        * np.exp(0.36 * skill)
    )
    retired = age >= PENSION_AGE
    student = (age < 24) & (rng.random(size) < 0.5)
    income = np.where(retired, 0.6 * income, np.where(student, 0.35 * income, income)).clip(350)
    trader = (rng.random(size) < 0.055) & ~retired & ~student & (home == index)
    income = np.where(trader, 1.3 * income, income)
    occupation = np.select(
        [student, retired, trader, education == 3, education >= 1],
        [STUDENT, RETIRED, SELF_EMPLOYED, SPECIALIST, EMPLOYEE],
        WORKER,
    )
    wealth = np.exp(
        np.log(5_500)
        + 0.9 * np.log(income / 2_000)
        + 0.024 * (age - 45)
        + 1.15 * rng.normal(0, 1, size)
    ).clip(150, 2_500_000)
    affinity = rng.normal(0, 1, (size, SLOTS - 1))
    # Who likes funds and term deposits likes what is between them.
    between = (affinity[:, Slot.FUND] + affinity[:, Slot.TERM_DEPOSIT]) / np.sqrt(2)
    affinity = np.column_stack([affinity, between])
    risk = rng.normal(0, 1, size) - 0.35 * skill
    digital = 1 / (1 + np.exp((age - 50) / 11 + rng.normal(0, 1.1, size)))
    buffer = np.exp(rng.normal(-0.1, 0.75, size)) * (wealth / 7_000).clip(0.2, 20) ** 0.25
    overdrawn = rng.random(size) < 1 / (1 + np.exp(2.4 - 0.8 * risk))
    buffer = np.where(overdrawn, -rng.uniform(0.3, 1.2, size), buffer)
    transactor = rng.random(size) < 0.55
    rents = (rng.random(size) < 0.42) & (home == index)
    employers = max(4, size // 60)
    marital = np.select(
        [couple, (age > 70) & (rng.random(size) < 0.4), (age > 35) & (rng.random(size) < 0.3)],
        [MARRIED, WIDOWED, DIVORCED],
        SINGLE,
    )
    female = rng.random(size) < 0.51
    female[1::2] = np.where(couple[1::2], ~female[even[: size // 2]], female[1::2])
    turnover = np.exp(np.log(450_000) + 1.15 * rng.normal(0, 1, size))
    people = Population(
        size=size,
        born=born,
        female=female,
        education=education,
        first_name=rng.integers(0, 20, size),
        surname=rng.integers(0, len(SURNAMES), size)[lead],
        joined=joined,
        since=since.astype(np.int32),
        branch=branch,
        partner=partner,
        home=home,
        payday=rng.integers(1, 16, size),
        employer=rng.integers(0, employers, size),
        trader=trader,
        expansion=0.003 + 0.018 * affinity[:, Slot.PAYMENTS],
        domiciled=rng.random(size) < 0.8,
        stops_salary=rng.random(size) < 0.75,
        bonus=rng.random(size) < 0.3,
        rent=np.where(rents, np.rint(income * rng.uniform(0.18, 0.34, size)), 0).astype(np.int64)
        * 100,
        wealth=wealth,
        digital=digital,
        loyalty=rng.normal(0, 1, size),
        risk=risk,
        growth=rng.normal(0.03, 0.02, size),
        intensity=np.exp(rng.normal(-0.1, 0.45, size)),
        buffer=buffer,
        card_share=rng.uniform(0.3, 0.9, size),
        repays=np.where(transactor, 1.0, rng.uniform(0.06, 0.3, size)),
        fee_rate=rng.gamma(0.7, 0.05, size),
        affinity=affinity,
        company=np.full(size, -1),
        head=index,
        foreign=np.zeros(size, dtype=bool),
    )
    start = Start(
        income=income,
        occupation=occupation,
        marital=marital,
        household=lead,
        district=district,
        consent=rng.random(size) < 0.8,
        drift=rng.normal(0.003, 0.016, size),
        turnover=np.where(trader, turnover, 0.0),
    )
    return people, start


def incorporate(
    people: Population, start: Start, rng: np.random.Generator
) -> tuple[Population, Start]:
    """Turn some customers without a partner into firms, with a random stream of their own."""
    size = people.size
    alone = np.flatnonzero((people.partner < 0) & ~people.trader)
    chosen = rng.permutation(alone)[: round(FIRM_SHARE * size)]
    company, head = people.company.copy(), people.head.copy()
    company[chosen] = rng.choice(len(COMPANY_SIZES), len(chosen), p=SIZE_SHARES)
    firm = company >= 0
    persons = np.flatnonzero(~firm)
    owned = rng.random(len(chosen))
    for place, one in enumerate(chosen):
        if owned[place] < OWNED_BY_PERSON:
            head[one] = rng.choice(persons)
        elif place and owned[place] < OWNED_BY_PERSON + OWNED_BY_FIRM:
            head[one] = head[rng.choice(chosen[:place])]

    def drawn(median: Floats | float, spread: float) -> Floats:
        return median * np.exp(spread * rng.normal(0, 1, size))

    income = np.where(firm, drawn(NET_REVENUE[company], 0.35), start.income)
    wealth = np.where(firm, drawn(3 * income, 0.9).clip(3_000, 5_000_000), people.wealth)
    trader = people.trader | (firm & (rng.random(size) < FIRM_TRADES))
    turnover = np.where(firm & trader, drawn(100 * income, 0.8), start.turnover)
    rent = np.rint(people.rent / 100 * income / start.income).astype(np.int64) * 100
    people = replace(
        people,
        born=np.where(firm, FIRST_DAY - round(365.25 * AGE_OF_FIRM), people.born),
        trader=trader,
        domiciled=people.domiciled | firm,
        bonus=people.bonus & ~firm,
        rent=np.where(firm, rent, people.rent),
        wealth=wealth,
        digital=np.where(firm, 0.5 + 0.5 * people.digital, people.digital),
        company=company,
        head=head,
    )
    start = replace(
        start,
        income=income,
        occupation=np.where(firm, COMPANY, start.occupation),
        marital=np.where(firm, SINGLE, start.marital),
        consent=start.consent & ~firm,
        turnover=turnover,
    )
    return people, start


def assign_books(places: Places, people: Population, rng: np.random.Generator) -> Ints:
    """Relationship manager of each customer: the wealthier two fifths of a branch have one."""
    manager = np.full(people.size, -1)
    rank = np.log(people.wealth) + rng.normal(0, 0.5, people.size)
    for branch in range(len(places.branch_district)):
        staff = np.flatnonzero((places.employee_branch == branch) & (places.employee_role == 1))
        members = np.flatnonzero(people.branch == branch)
        members = members[np.argsort(-rank[members], kind="stable")]
        members = members[: round(0.4 * len(members))]
        manager[members] = staff[np.arange(len(members)) % len(staff)]
    return manager


def _branch_share(branches: int) -> Floats:
    """Shares of the branches, which decrease gently."""
    weight = 1 / (4.0 + np.arange(branches))
    return weight / weight.sum()
