"""The plans, reports, rows and proofs whose looks the golden files keep."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from reconciler import render
from reconciler.model import (
    NOWHERE,
    Action,
    Cause,
    Change,
    Failure,
    FieldDiff,
    Forecast,
    Health,
    HealthCode,
    Held,
    Judgement,
    Live,
    ModelRef,
    Plan,
    Proof,
    Reached,
    Reason,
    Refusal,
    Report,
    Rule,
    RuleKind,
    Score,
    Source,
    Unfinished,
    Wave,
)

STORE = "https://store.blob.core.windows.net/models"
SENIOR_WHY = (
    "the default endpoint follows its experiment and cannot be patched; add a further endpoint "
    "and bind that instead"
)


def change(name: str, action: Action, code: str, why: str, **more: object) -> Change:
    """A change of a New web service from 2026-10 to 2026-11, but for what is said of it."""
    said: dict[str, object] = {
        "kind": "WebService",
        "address": f"webServices/ml-local/{name}",
        "before": "2026-10",
        "after": "2026-11",
        "after_ref": f"{STORE}/{name}/2026-11/model.ilearner",
        "key": "ab" * 32,
        "source": Source(f"services/local/{name}.yaml", 4, 1),
    }
    return Change(name=name, action=action, code=code, why=why, **(said | more))  # type: ignore[arg-type]


def rule(metric: str, kind: RuleKind, bound: str) -> Rule:
    """A gate's rule."""
    return Rule(metric, kind, Decimal(bound))


AUC = rule("AUC", RuleKind.AT_LEAST, "0.9")
NO_WORSE = rule("AUC", RuleKind.NO_WORSE_THAN_LIVE, "0.01")
RMSE = rule("RMSE", RuleKind.AT_MOST, "90")

PENDING = Judgement(AUC, None, None, None, "")
PASSED = Judgement(RMSE, True, 46.07, 51.62, "")
BETTER = Judgement(NO_WORSE, True, 0.921, 0.913, "")
WORSE = Judgement(NO_WORSE, False, 0.8, 0.913, "")
NO_METRIC = Judgement(
    RMSE, None, None, None, "the evaluation has no metric 'RMSE' (it has: AUC, Accuracy, Recall)"
)
FIRST = Judgement(
    NO_WORSE,
    True,
    0.921,
    None,
    "the live model has no known metrics; this rule applies from the next version on",
)

MODEL_DIFF = FieldDiff(
    "model", f"{STORE}/a/2026-10/model.ilearner", f"{STORE}/a/2026-11/model.ilearner"
)

NOOP = change("wine", Action.NOOP, "in_sync", "", before="2026-11", source=Source("w.yaml", 1, 1))
EMPTY = Plan("local", "emulator", (NOOP, change("iris", Action.NOOP, "in_sync", "", before="3")))
NO_BINDINGS = Plan("local", "emulator", ())

EVERY_ACTION = Plan(
    "local",
    "emulator",
    (
        change(
            "diabetes-senior",
            Action.BLOCK,
            "default_endpoint",
            SENIOR_WHY,
            kind="ClassicEndpoint",
            address="classic/Diabetes Scoring/default",
            source=Source("services/local/diabetes.yaml", 25, 1),
        ),
        change(
            "churn",
            Action.BLOCK,
            Reason.UNREADABLE,
            "GET https://management.azure.com/… answered 503: the service is busy",
            before="unknown",
        ),
        change(
            "breast-cancer",
            Action.TRAIN,
            "not_trained",
            "this version was never trained: train it, then bind it",
            diffs=(MODEL_DIFF,),
            gates=(PENDING,),
            forecast=Forecast("breast-cancer-training", 40, 2, None),
        ),
        change(
            "diabetes-young",
            Action.BIND,
            "version_changed",
            "the trained model is ready; swap it in",
            diffs=(MODEL_DIFF,),
            gates=(PASSED, BETTER, FIRST),
        ),
        change(
            "spam",
            Action.BIND,
            "foreign_model",
            "this store does not know the live model; swap the declared version in",
            before="default model of the experiment.ilearner",
            warnings=("the service does not reveal its model; the record in the store names it",),
        ),
        change("fraud", Action.WAIT, "training", "the training job is running", gates=(PENDING,)),
        change(
            "new",
            Action.CREATE,
            "missing",
            "there is no such endpoint; create it with the trained model",
            before="",
            diffs=(FieldDiff("settings.description", None, "loc 1"),),
        ),
        change(
            "newer",
            Action.CREATE,
            "not_trained",
            "there is no such endpoint, and this version was never trained",
            before="",
            gates=(PENDING,),
        ),
        change(
            "slow",
            Action.UPDATE,
            "settings",
            "settings differ from what is declared",
            before="2026-11",
            diffs=(FieldDiff("settings.maxConcurrentCalls", "4", "20"),),
        ),
        change("old", Action.DELETE, "absent", "`state: absent` is declared", after=""),
        change(
            "older",
            Action.NOOP,
            "not_declared",
            "this environment made it, and git no longer declares it",
            before="",
            after="",
            source=NOWHERE,
        ),
        change(
            "gated",
            Action.BLOCK,
            "gate",
            "not accepted: AUC is 0.8 (live 0.913), and must be noWorseThanLive 0.01",
            gates=(WORSE, NO_METRIC),
        ),
        change(
            "recipe",
            Action.BLOCK,
            "recipe_changed",
            "version 2026-11 was made by another recipe; give the new recipe a new version",
            diffs=(
                FieldDiff("recipe.inputs.input1", "data/old.csv", "data/new.csv"),
                FieldDiff("recipe.parameters.Trees", None, "50"),
                FieldDiff("recipe.parameters.Depth", "5", None),
                FieldDiff("recipe.parameters.Seed", "", "1"),
            ),
        ),
        NOOP,
    ),
    notes=("could not look for undeclared endpoints: listing the web services answered 503",),
)


def rental(number: int, **more: object) -> Change:
    """One of the bike rentals: endpoints that one document declares."""
    said: dict[str, object] = {
        "kind": "ClassicEndpoint",
        "address": f"classic/Bike Rental Scoring/rentalloc{number:03}",
        "source": Source("services/production/bikes.yaml", 5, 18),
        "after_ref": f"{STORE}/bike-rental/2026-11/location={number:03}/model.ilearner",
        "gates": (PENDING,),
        "forecast": Forecast("bike-rental-training", 40, 20, 118.0),
        "key": f"{number:064x}",
    }
    why = "this version was never trained"
    name = f"bike-rental-{number:03}"
    return change(name, Action.TRAIN, "not_trained", why, **(said | more))


FLEET = Plan(
    "production",
    "azure",
    (
        *(rental(number) for number in range(1, 25)),
        rental(31, before="2026-09"),
        rental(32, warnings=("the data under data/032.csv changed since",)),
        *(
            change(
                f"churn-{country}",
                Action.BIND,
                "version_changed",
                "the trained model is ready; swap it in",
                before=f"{place}" * 8 + "….ilearner",
                gates=(Judgement(NO_WORSE, True, 0.92 + place / 1000, 0.91, ""),),
            )
            for place, country in enumerate(["at", "be", "ch", "de", "es", "fr", "it"])
        ),
        *(
            change(f"{name}-scoring", Action.BLOCK, "gate", f"not accepted: {name}", gates=(WORSE,))
            for name in ["a", "b", "c", "d", "e", "f"]
        ),
        NOOP,
    ),
)

LONG_NAMES = Plan(
    "local-with-a-name-that-goes-on",
    "emulator",
    (
        change("a" * 90, Action.BIND, "version_changed", "swap it in", before="v" * 70),
        change("データ分類サービス" * 5, Action.BLOCK, "missing", "x" * 200),
        change("short", Action.TRAIN, "not_trained", "train it", gates=(PENDING,)),
    ),
)

EVIL = (
    "a\x1b[31mred\x1b[0m\r\nforged line\t\u202egnp.exe\u2066 @everyone #12 `code` ```` | <b>&amp;"
    "</details><script> **bold** _it_ [l](https://evil.example) ~~x~~ $a$ \u2028 \x7f \x9b2J"
)
HOSTILE = Plan(
    EVIL,
    EVIL,
    (
        Change(
            EVIL,
            EVIL,
            EVIL,
            Action.BLOCK,
            EVIL,
            EVIL,
            EVIL,
            EVIL,
            EVIL,
            EVIL,
            (FieldDiff(EVIL, EVIL, EVIL), FieldDiff("```", "````", None)),
            (Judgement(rule(EVIL, RuleKind.AT_MOST, "1"), None, None, 0.5, EVIL),),
            (EVIL,),
            Source(EVIL, 1, 2),
        ),
        Change("\n", "", "", Action.BIND, "", "", "# head", "- item"),
    ),
)


def of_wave(number: int, name: str) -> Change:
    """One of a fleet that gets a version wave after wave."""
    wave = Wave(number, (1, 4, 2), soak_s=86_400.0, not_before="2026-11-30T10:00:00Z")
    why = "the trained model is ready; swap it in"
    return change(name, Action.BIND, Reason.VERSION_CHANGED, why, wave=wave)


WAVES = Plan(
    "local",
    "emulator",
    (
        *(of_wave(2, f"shop-{number}") for number in range(4)),
        *(of_wave(3, f"shop-{number}") for number in range(4, 6)),
        NOOP,
    ),
)

CAUSES = Plan(
    "local",
    "emulator",
    (
        *(replace(c, cause=Cause.FAILED) for c in EVERY_ACTION.changes[1:2]),
        *(replace(c, cause=Cause.BEGUN) for c in EVERY_ACTION.changes[2:3]),
        *(replace(c, cause=Cause.DRIFT) for c in EVERY_ACTION.changes[3:4]),
        EVERY_ACTION.changes[0],
        EVERY_ACTION.changes[4],
        replace(NOOP, cause=Cause.NOTHING),
    ),
)

PLANS = {
    "causes": CAUSES,
    "waves": WAVES,
    "empty": EMPTY,
    "no_bindings": NO_BINDINGS,
    "every_action": EVERY_ACTION,
    "fleet": FLEET,
    "long_names": LONG_NAMES,
    "hostile": HOSTILE,
}


def score(label: str, probability: str) -> Score:
    """An answer that repeats an input column, as the services do."""
    return Score(
        ("Age", "Scored Labels", "Scored Probabilities"),
        (("41", label, probability), ("50", "benign", "0.5")),
    )


def proof(name: str, **more: object) -> Proof:
    """The proof of a healthy endpoint without a probe, but for what is said of it."""
    said: dict[str, object] = {
        "address": f"webServices/ml-local/{name}",
        "model": "2026-11",
        "read_back": True,
        "health": Health(HealthCode.HEALTHY, "read back; no probe is declared"),
    }
    return Proof(name, **(said | more))  # type: ignore[arg-type]


PROVED = proof(
    "diabetes-young",
    health=Health(HealthCode.HEALTHY, "scored 2 rows"),
    before=score("malignant", "0.9312323"),
    after=score("malignant", "0.9822"),
    warnings=("the service hides its model: read back from the record in the store",),
)
ONLY_AFTER = proof("spam", after=Score(("Rating",), (("4.25",),)))
NOT_HEALTHY = proof(
    "fraud",
    health=Health(HealthCode.DEGRADED, "the endpoint answered the probe with no rows"),
    before=score("no", "0.1"),
    after=Score(("Scored Labels",), ()),
)
NOT_SERVED = proof(
    "churn",
    read_back=False,
    health=Health(HealthCode.DEGRADED, "it serves another model, not the declared version"),
)
HOSTILE_PROOF = Proof(
    EVIL,
    EVIL,
    EVIL,
    False,
    Health(HealthCode.UNKNOWN, EVIL),
    Score((EVIL,), ((EVIL,),)),
    Score((EVIL,), ((EVIL,),)),
    (EVIL,),
)

PROOFS = {
    "none": (),
    "all_proved": (PROVED, ONLY_AFTER, proof("wine")),
    "some_not": (PROVED, NOT_HEALTHY, NOT_SERVED),
    "hostile": (HOSTILE_PROOF,),
}

CUT_OFF = (
    Unfinished("breast-cancer", "webServices/ml-local/breast-cancer", Reached.CHANGED),
    Unfinished("wine", "webServices/ml-local/wine", Reached.ASKED),
    Unfinished("churn", "webServices/ml-local/churn", Reached.TRAINING),
    Unfinished("spam", "webServices/ml-local/spam", Reached.UNPROVED),
    Unfinished("fraud", "webServices/ml-local/fraud", Reached.NOT_BEGUN),
    Unfinished("diabetes-middle", "classic/Diabetes Scoring/middle", Reached.NOT_BEGUN),
)

REPORTS = {
    "waves": Report(
        WAVES,
        held=(
            *(
                Held(c.name, c.address, "shops/2026-11", until="2026-11-30T10:00:00Z")
                for c in WAVES.changes[:2]
            ),
            *(
                Held(f"spam-{n}", f"spam/{n}", "spam/2026-11", "spam-0: it answers nothing")
                for n in range(1, 5)
            ),
        ),
        elapsed_s=3.0,
    ),
    "nothing": Report(EMPTY),
    "all_proved": Report(
        Plan(
            "local",
            "emulator",
            (
                change("diabetes-young", Action.NOOP, "in_sync", "", before="2026-11"),
                change("spam", Action.NOOP, "in_sync", "", before="2026-11"),
                NOOP,
            ),
        ),
        done=(PROVED.address, ONLY_AFTER.address),
        proofs=(PROVED, ONLY_AFTER),
        elapsed_s=61.23,
    ),
    "failures": Report(
        EVERY_ACTION,
        done=(PROVED.address, NOT_HEALTHY.address),
        proofs=(PROVED, NOT_HEALTHY),
        failures=(
            Failure("fraud", NOT_HEALTHY.address, "swapped and read back, but no rows", 8),
            Failure("diabetes-senior", "classic/Diabetes Scoring/default", SENIOR_WHY, 4),
        ),
        elapsed_s=3.0,
    ),
    "stopped": Report(
        EVERY_ACTION,
        done=(CUT_OFF[0].address, CUT_OFF[1].address),
        failures=(Failure("wine", CUT_OFF[1].address, "updating it: no answer in time", 1),),
        elapsed_s=12.04,
        stopped_by=2,
        unfinished=CUT_OFF,
    ),
    "hostile": Report(
        HOSTILE,
        (EVIL, "b\x1bc"),
        (HOSTILE_PROOF,),
        (Failure(EVIL, EVIL, EVIL, 1),),
        1.0,
        EVIL,
        15,
        (Unfinished(EVIL, EVIL, Reached.NOT_BEGUN),),
    ),
}

_REF = ModelRef(f"{STORE}/x/2026-10/model.ilearner")
_LIVES = {
    "diabetes-senior": Live(Health(HealthCode.HEALTHY), refusal=Refusal("default", SENIOR_WHY)),
    "churn": Live(Health(HealthCode.UNKNOWN, "the service is busy")),
    "fraud": Live(Health(HealthCode.PROGRESSING, "updating"), served=_REF),
    "spam": Live(Health(HealthCode.HEALTHY), hidden=True),
}

ROWS = {
    "none": (),
    "every_action": tuple(
        render.status_row(one, live, live.health)
        for one in EVERY_ACTION.changes
        for live in [_LIVES.get(one.name, Live(Health(HealthCode.HEALTHY), served=_REF))]
    ),
    "hostile": tuple(
        render.status_row(one, Live(health), health)
        for one in HOSTILE.changes
        for health in [Health(HealthCode.DEGRADED, EVIL)]
    ),
}
