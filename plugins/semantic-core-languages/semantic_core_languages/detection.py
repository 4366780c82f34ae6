"""Which language a text is in, by its most frequent words and by letters that few languages have.

Every word of a text gives points to languages; the text is in the language with the most. It is
meant for languages in Latin letters: the words of another script have the usual language of that
script.

Tested by tests/test_detection.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

FUNCTION_WORDS = {
    "en": "the of and to in is that for it was on with as are by be this from at which or "
    "have not an were has but they you we he she his her their its if can will would "
    "there been more when who what so about into than them these some could other do "
    "how any after only also all out up no may my your our between where while each "
    "such through over then had did does i a",
    "de": "der die das und in den von zu mit sich des auf für ist im dem nicht ein eine als "
    "auch es an werden aus er hat dass sie nach wird bei einer um am sind noch wie "
    "einem über einen so zum haben nur oder aber vor zur bis mehr durch man sein wurde "
    "sei kann gegen vom können schon wenn habe ihre dann unter wir soll ich eines jahr "
    "zwei diese dieser dieses wieder keine uns mich dir mir ihr ihm war waren wo was "
    "kein hier jetzt sehr wurden deutsche beim",
    "fr": "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se "
    "ce il sont avec ou son lui nous comme mais on sa leur fait aux cette été ont être "
    "ses vous tout entre deux même aussi ces je elle sans peut après bien si notre "
    "depuis où dont très était ils votre nos mes avait moins quand avant ainsi chez "
    "vers donc leurs toute tous faire",
    "es": "de la que el en y a los se del las un por con no una su para es al lo como más o "
    "pero sus le ha me si sin sobre este ya entre cuando todo esta ser son dos también "
    "fue había era muy años hasta desde está mi porque qué sólo han yo hay vez puede "
    "todos así nos ni parte tiene él uno donde bien tiempo mismo ese ahora cada vida "
    "otro después te otros aunque esa eso hace",
    "it": "di e il la che in un a è per una non sono con si da come le dei nel alla del più "
    "gli al i lo della ha anche delle ma o se su questo questa nella suo essere sua tra "
    "cui dal ai stato dalla o ed hanno era molto fra dopo quando loro ci due così tutti "
    "chi anni può solo prima ancora degli sulla sul fatto poi senza mi io tutto ogni "
    "sempre perché quello quella",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas "
    "foi ao ele das tem à seu sua ou ser quando muito há nos já está eu também só pelo "
    "pela até isso ela entre era depois sem mesmo aos ter seus quem nas me esse eles "
    "estão você tinha foram essa num nem suas meu às minha têm numa pelos havia seja "
    "qual será nós tenho lhe deles essas",
    "nl": "de van een het en in is dat op te zijn met voor niet aan er om die als bij ook "
    "door maar uit naar hij dan worden over wordt was ze nog of kan deze tot heeft zich "
    "had meer werd al zo hebben dit wel moet geen zij ik je we wat mijn haar hun ons "
    "onze tegen veel zou na onder jaar waar toen moeten andere kunnen twee omdat",
    "sv": "och att det i en som är av på för med den till inte har de ett om var men han sig "
    "från vi så kan när eller vid under efter också där nu hade hon jag ska skulle hans "
    "denna detta mot ut då sin finns alla bara mer man kunde sina mycket varit år "
    "mellan dessa blev utan in över upp många andra vad här måste du hur",
    "da": "og i at det en den til er som på de med han af for ikke der var et har om vi min "
    "havde ham hun nu over da fra du ud sin dem os op man hans hvor eller hvad skal "
    "selv her alle vil blev kunne ind når være dog noget ned jo også efter uden deres "
    "bliver kan blive mange dette",
    "no": "og i det på som er en til å han av for med at var de ikke den har jeg om et men "
    "seg hun fra du ble så vi kan da ut mot etter nå skal eller også hva hvor sin dem "
    "være her deg ham hadde når alle vil opp noe bare dette mer man kunne mellom andre "
    "under mange også ett",
    "fi": "ja on ei että se oli hän mutta ovat kun niin myös joka sen ole tai kuin hänen jos "
    "ne sitä jo siitä vain vielä nyt mukaan minä sekä jotka mitä siinä ollut voi tämä "
    "olla kuitenkin hyvin tämän sitten ennen koko mikä ettei kaikki olivat jonka pitää "
    "saa noin te me he mutta",
    "tr": "ve bir bu da de için ile çok ne daha gibi o var olarak kadar ama en sonra olan ya "
    "her değil ben mi kendi şey mı iki ki yok diye oldu olduğu bunu şu göre sen biz "
    "onun dedi bana ancak hiç zaman nasıl önce şimdi veya yeni büyük ise hem bile neden "
    "tarafından üzerinde",
    "pl": "i w nie na z się do to że jest o a jak za od po co ale przez są czy tym dla tego "
    "już być przy jego tak jej ich może było tylko który która które oraz więc bardzo "
    "pod był była lub jeszcze ze nad gdy bez ma także jako między także sobie",
    "ro": "de și în la a cu nu o care pe că din mai un pentru se este să au sau ce prin fi ca "
    "al lui fost dar cum după era sunt două ale unei unui când acest această între fără "
    "doar foarte poate fiind îi ar le ei el",
    "hu": "a az és hogy nem is egy van ez meg csak már de mint ki volt ha lehet el még kell "
    "azt sem vagy pedig majd után lesz ezt minden itt nagyon ami aki így akkor volna "
    "mert két most vele között szerint amely",
    "cs": "a v se na je že o s z do i to k ve pro za by ale si po jako od jsem jsou které "
    "který tak bylo byl jeho co nebo při být podle už jen až před však než která může "
    "také jak má bez pod této mezi ještě když",
    "vi": "và của là có không được cho một người trong các những với để này đã khi đến về như "
    "cũng từ ra tôi nhiều hay vào làm phải năm sự còn sẽ theo thì rất nên bị",
}
"""The most frequent words of languages in Latin letters, as far as they are short and have no
meaning of their own.
"""
_LETTERS = {
    "de": "äöüß",
    "fr": "àâçèéêëîïôùûœ",
    "es": "ñáéíóú¿¡",
    "it": "àèéìòù",
    "pt": "ãõáéíóúâêôç",
    "sv": "åäö",
    "da": "æøå",
    "no": "æøå",
    "fi": "äö",
    "tr": "ışğçöü",
    "pl": "ąćęłńóśźż",
    "ro": "ăâîșțşţ",
    "hu": "áéíóöőúüű",
    "cs": "áčďéěíňóřšťúůýž",
    "vi": "ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
    "nl": "ë",
}
"""Letters with accents that the words of a language have."""
WORD_POINTS = 3
"""What a frequent word gives to a language that has it."""
OWN_POINTS = 2
"""What it gives in addition if no other of the languages has it."""
LETTER_POINTS = 2
"""What a word with accented letters gives to each language that has all of them."""
LEAST_POINTS = 4
"""With fewer points, nothing is known: one word that several languages have is not enough."""
MOST_WORDS = 200
"""Only so many runs of a text count, from its beginning."""
MOST_LANGUAGES = 24
"""Most languages that points are given to."""


class Detector:
    """Tells languages apart.

    languages: those that a text may be in, the likeliest first, at most MOST_LANGUAGES.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        self.languages = tuple(languages)[:MOST_LANGUAGES]
        self._nothing = (0,) * len(self.languages)
        self._words: dict[str, tuple[int, ...]] = {}
        words = {code: set(FUNCTION_WORDS.get(code, "").split()) for code in self.languages}
        for word in {word for listed in words.values() for word in listed}:
            having = [word in words[code] for code in self.languages]
            most = WORD_POINTS + (OWN_POINTS if sum(having) == 1 else 0)
            self._words[word] = tuple(most if has else 0 for has in having)
        self._letters = {code: frozenset(_LETTERS.get(code, "")) for code in self.languages}

    @classmethod
    def among(cls, languages: Iterable[str]) -> Detector:
        """A detector of these languages; of all that it knows if there are none. Those without a
        list of frequent words are never detected.
        """
        return cls(list(languages) or list(FUNCTION_WORDS))

    def points(self, run: str) -> tuple[int, ...]:
        """The points that a run gives to each language."""
        lower = run.lower()
        points = self._words.get(lower, self._nothing)
        if run.isascii():
            return points
        accented = {letter for letter in lower if letter > "\x7f"}
        for letter in accented:
            if not letter.isalpha() or letter > "\u1eff" or "\u024f" < letter < "\u1e00":
                return points
        given = []
        for code, point in zip(self.languages, points, strict=True):
            given.append(point + (LETTER_POINTS if accented <= self._letters[code] else 0))
        return tuple(given)

    def language(self, points: Sequence[int]) -> int | None:
        """The place of the language with the most points; None if they are too few.

        points: the sum of those of the runs of a text. Of equal ones the first is taken.
        """
        most = max(points, default=0)
        return list(points).index(most) if self.is_enough(most) else None

    @staticmethod
    def is_enough(points: int) -> bool:
        """Whether so many points show a language."""
        return points >= LEAST_POINTS
