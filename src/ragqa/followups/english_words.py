"""The closed classes of English words that the rules for follow-up questions look at."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PERSONAL = _words("he she him her his hers himself herself")
PLURAL = _words("they them their theirs themselves")
NEUTER = _words("it its itself")
PRONOUNS = PERSONAL | PLURAL | NEUTER
POSSESSIVE = _words("his her its their")
DEMONSTRATIVE = _words("this that these those")

WH = _words("who whom whose what which when where why how")
DO = _words("do does did")
MODAL = _words("can could may might must shall should will would")
BE = _words("is are was were be been am")
HAVE = _words("has have had")
AUXILIARY = DO | MODAL | BE | HAVE

PARTICLES = _words("apart away back down off out together up two three both one")
"""What may stand behind a demonstrative that has no noun: "who found that out", "keep these two apart"."""
AGENTS = _words(
    "who whom author authors creator developer inventor people person researcher researchers scientist scientists"
)
"""Words that ask for somebody."""
BODIES = _words("company companies group lab laboratory organisation organization publisher team university")
"""Nouns whose answer is somebody who acts and is no person."""
OCCASIONS = _words("article case day moment period point season situation time topic way week year")
"""Nouns behind "this" or "that" that no name in the history stands for."""

PREPOSITIONS = _words("""
    about above across after against among around at before behind below between beyond by during for from in into
    like near of off on onto over per since than through to towards under until up upon via with within without
    """)
DETERMINERS = _words("a an the any each every some such no another other own all both")
ADVERBS = _words("""
    also always best ever even exactly first here instead just least less merely more most much many never normally
    not now often only originally really so still then there together too twice usually very yet enough else again
    """)
CONJUNCTIONS = _words("and or but if as while because whether nor")
SPEAKERS = _words("i you we me us my your our")
FUNCTION = (
    PRONOUNS | DEMONSTRATIVE | WH | AUXILIARY | PREPOSITIONS | DETERMINERS | ADVERBS | CONJUNCTIONS | SPEAKERS
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
