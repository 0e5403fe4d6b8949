"""The closed classes of English words that the rules for follow-up questions look at."""

PERSONAL = frozenset("he she him her his hers himself herself".split())
PLURAL = frozenset("they them their theirs themselves".split())
NEUTER = frozenset("it its itself".split())
PRONOUNS = PERSONAL | PLURAL | NEUTER
POSSESSIVE = frozenset("his her its their".split())
DEMONSTRATIVE = frozenset("this that these those".split())

WH = frozenset("who whom whose what which when where why how".split())
DO = frozenset("do does did".split())
MODAL = frozenset("can could may might must shall should will would".split())
BE = frozenset("is are was were be been am".split())
HAVE = frozenset("has have had".split())
AUXILIARY = DO | MODAL | BE | HAVE

PARTICLES = frozenset("apart away back down off out together up two three both one".split())
"""What may stand behind a demonstrative that has no noun: "who found that out", "keep these two apart"."""
AGENTS = frozenset(
    "who whom author authors creator developer inventor people person researcher researchers scientist scientists".split()
)
"""Words that ask for somebody."""
BODIES = frozenset(
    "company companies group lab laboratory organisation organization publisher team university".split()
)
"""Nouns whose answer is somebody who acts and is no person."""
OCCASIONS = frozenset("article case day moment period point season situation time topic way week year".split())
"""Nouns behind "this" or "that" that no name in the history stands for."""

PREPOSITIONS = frozenset(
    """
    about above across after against among around at before behind below between beyond by during for from in into
    like near of off on onto over per since than through to towards under until up upon via with within without
    """.split()
)
DETERMINERS = frozenset("a an the any each every some such no another other own all both".split())
ADVERBS = frozenset(
    """
    also always best ever even exactly first here instead just least less merely more most much many never normally
    not now often only originally really so still then there together too twice usually very yet enough else again
    """.split()
)
CONJUNCTIONS = frozenset("and or but if as while because whether nor".split())
SPEAKERS = frozenset("i you we me us my your our".split())
FUNCTION = (
    PRONOUNS
    | DEMONSTRATIVE
    | WH
    | AUXILIARY
    | PREPOSITIONS
    | DETERMINERS
    | ADVERBS
    | CONJUNCTIONS
    | SPEAKERS
)

PAST = {
    "began": "begun", "brought": "brought", "built": "built", "came": "come", "chose": "chosen", "did": "done",
    "drew": "drawn", "found": "found", "gave": "given", "got": "got", "held": "held", "kept": "kept", "led": "led",
    "left": "left", "made": "made", "said": "said", "saw": "seen", "sent": "sent", "set": "set", "sold": "sold",
    "sang": "sung", "taught": "taught", "thought": "thought", "told": "told", "took": "taken", "won": "won",
    "wrote": "written",
}  # fmt: skip
"""Irregular past → participle."""
PARTICIPLES = frozenset(PAST.values()) | {"known", "born", "shown", "cut", "put", "meant", "lost"}
