"""Words that claim nothing by themselves: the only ones a grounded sentence may use beside signs and diagnoses.

A closed list is what makes the check deterministic and complete: a finding in words that no vocabulary holds ("it
glows") is not overlooked but refused. Left out on purpose: sizes, colours, shapes, sites, counts, times and verdicts.
"""

_ARTICLES = "a an the this that these those it its they their them there here one some any other another such same both"
_JOINTS = """
and or but while whereas with of in on at to from by for as than also too so then thus therefore hence because since
if when where which who whose both either together along additionally moreover furthermore however yet well besides
more most less least rather quite overall altogether first next last second finally again further instead plus
"""
_NEGATIONS = (
    "no not without never neither nor lack lacks lacking absent absence free missing cannot can't doesn't isn't aren't"
)
_VERBS = """
is are be was were has have having show shows showing shown display displays displaying present presents presenting
see seen sees seeing look looks looking looked appear appears appearing find finds finding findings found note notes
noted notice noticed observe observed observes observing report reports reported reporting describe described
describes describing reveal reveals revealed exhibit exhibits exhibiting feature features featuring include includes
including give gives given make makes made do does can may might could would tell tells told say says said state
states stated list lists expect expects expected carry carries bear bears record recorded recorded annotated know known
exist exists match matches matched meet meets occur occurs belong belongs
"""
_ARGUMENT = """
considered consider considering weighed weigh weighing rival rivals candidate candidates alternative alternatives
first impression revised revise against shares share shared sharing ranking ranked compared compare comparing comparison
differential favour favours favoured favor favors favored support supports supported supporting speak speaks speaking
argue argues argued point points pointing fit fits fitting consistent suggest suggests suggested suggestive explain
explains explained exclude excludes excluded decide decides decided conclusion conclude concludes concluded diagnosis
diagnoses diagnosed likely unlikely probable probably possible possibly reason reasons evidence unlike over choice level
final answer lead leads leading
"""
_BOOK = """
textbook textbooks book books source passage section typical typically usual usually common commonly characteristic
characteristically often frequent frequently mostly sometimes occasionally occasional rarely rare seldom according
morphology disease diseases condition conditions entity
"""
_IMAGE = """
image images photo photograph photographs picture pictures view skin lesion lesions visible visibly clearly sign signs
case patient patients patient's history complaint complaints complains complain visual area areas region surface
description group needed new told
"""

_CONSIDERS = """
considered consider considering weighed weigh weighing rival rivals candidate candidates alternative alternatives
impression ranking ranked compared compare comparing comparison
"""
_AGAINST = "against revised revise unlike exclude excludes excluded"
_CONCLUDES = """
conclusion conclude concludes concluded diagnosis diagnosed final answer likely ranking therefore thus hence so
"""
_WEIGHS = """
shares share shared sharing favour favours favoured favor favors favored support supports supported supporting fit fits
fitting consistent suggest suggests suggested suggestive explain explains explained unlikely probable probably because
"""
_THIS_CASE = "this it here patient patient's patients image photo photograph picture case lesion"


def _words(*lists: str) -> frozenset[str]:
    return frozenset(" ".join(lists).split())


CHECKLIST = "checklist"
PLAIN = _words(_ARTICLES, _JOINTS, _NEGATIONS, _VERBS, _ARGUMENT, _BOOK, _IMAGE)
CONSIDERS, AGAINST, CONCLUDES = _words(_CONSIDERS), _words(_AGAINST), _words(_CONCLUDES)
# A sentence with one of these argues about this case, even if it cites.
INFERS = _words(_CONSIDERS, _AGAINST, _CONCLUDES, _WEIGHS, _THIS_CASE, CHECKLIST)
# Set a diagnosis apart from the one concluded.
CONTRASTS = _words(_AGAINST, "over than not no without unlikely")
# How often the textbook must expect a sign for the word to be right.
EMPHASIS = _words(
    "typical typically usual usually common commonly characteristic characteristically mostly often",
    "frequent frequently",
)
RARITY = _words("rare rarely seldom occasional occasionally")
SEXES = {"female": _words("female woman woman's she her"), "male": _words("male man man's he his him")}
