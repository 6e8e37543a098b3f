"""Name segments by their distinguishing dimensions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ml.segments.dimensions import BEHAVIOUR, DIMENSION, DIMENSIONS, LIFE_STAGE, VALUE

CLEAR, FAR = 0.5, 1.5
FEWEST, MOST, FURTHER = 2, 3, 2
# The order of the words in a name: life stage, behaviour, value.
ORDER = (LIFE_STAGE, BEHAVIOUR, VALUE)
PLACE = {
    dimension.name: place
    for place, dimension in enumerate(sorted(DIMENSIONS, key=lambda one: ORDER.index(one.view)))
}
AVERAGE = "average customer"
LOSING = "loss-making"


def _words(deviation: Mapping[str, float], is_losing: bool) -> list[tuple[str, str, float]]:
    """Dimension, word and size of the deviation, largest first, one per theme."""
    words: list[tuple[str, str, float]] = []
    themes: set[str] = set()
    for name, by in sorted(deviation.items(), key=lambda item: (-abs(item[1]), item[0])):
        dimension = DIMENSION[name]
        theme = dimension.theme
        if by > 0:
            word = by >= FAR and dimension.very_high or dimension.high
        else:
            word = by <= -FAR and dimension.very_low or dimension.low
            theme = dimension.low_theme or theme
        if name == "value" and is_losing:
            word = LOSING
        if word is None or by == 0 or theme in themes:
            continue
        themes.add(theme)
        words.append((name, word, abs(by)))
    return words


def _join(words: Sequence[tuple[str, str, float]]) -> str:
    placed = sorted(words, key=lambda word: PLACE[word[0]])
    return ", ".join(
        word if size >= CLEAR or word == LOSING else f"rather {word}" for _, word, size in placed
    )


def _distinguishing_word(
    segment: str,
    alike: Sequence[str],
    deviations: Mapping[str, Mapping[str, float]],
    unused: Sequence[tuple[str, str, float]],
) -> tuple[str, str, float]:
    """The word that distinguishes a segment most from others of the same name."""
    others = [deviations[one] for one in alike if one != segment] or [{}]

    def difference(word: tuple[str, str, float]) -> float:
        mean = sum(other.get(word[0], 0.0) for other in others) / len(others)
        return abs(deviations[segment][word[0]] - mean)

    return max(unused, key=difference)


def name_segments(
    deviations: Mapping[str, Mapping[str, float]],
    losing: Collection[str] = (),
    taken: Collection[str] = (),
) -> dict[str, str]:
    """A name for each segment, of two or three words for its largest deviations.

    Deviations under half a standard deviation are used only without larger ones, as "rather …".
    Equal names get up to two more words for the differences between these segments; names that are
    still equal get the id.

    Parameters
    ----------
    deviations : segment → dimension → mean less the population's, in standard deviations
    losing : segments whose mean value is negative
    taken : names that must not be reused

    Returns
    -------
    dict, segment → name, in the order of `deviations`; all different and none of `taken`
    """
    words = {segment: _words(by, segment in losing) for segment, by in deviations.items()}
    used = {}
    for segment, found in words.items():
        clear = sum(size >= CLEAR for *_, size in found)
        used[segment] = found[: min(max(FEWEST, clear), MOST)]
    names = {segment: _join(found) or AVERAGE for segment, found in used.items()}
    short = dict(names)
    for _ in range(FURTHER):
        held = [*names.values(), *taken]
        alike = {
            segment: [other for other in names if names[other] == name]
            for segment, name in names.items()
            if held.count(name) > 1
        }
        for segment, others in alike.items():
            unused = [word for word in words[segment] if word not in used[segment]]
            if unused:
                further = _distinguishing_word(segment, others, deviations, unused)
                used[segment] = [*used[segment], further]
                names[segment] = _join(used[segment])
    held = [*names.values(), *taken]
    final: dict[str, str] = {}
    for segment, name in names.items():
        kept = name if held.count(name) == 1 else short[segment]
        is_given = kept in final.values() or kept in taken
        final[segment] = f"{kept} ({segment})" if is_given else kept
    return final
