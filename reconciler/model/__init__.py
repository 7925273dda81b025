"""The vocabulary: frozen values without I/O. One word per idea; see CONTRIBUTING.md."""

from reconciler.auth import Auth  # a word of the vocabulary, kept where it is cheap
from reconciler.model.checkup import Check, Checkup, Level
from reconciler.model.desired import (
    MOST_BINDINGS,
    Binding,
    Creation,
    Declared,
    Desired,
    Environment,
    Expectation,
    Freeze,
    NoticeForm,
    Notify,
    Probe,
    Requires,
    Rollout,
    SecretName,
    StoreUrl,
)
from reconciler.model.differences import differences
from reconciler.model.drift import drifted, owned_settings, settings_diffs, settings_to_keep
from reconciler.model.observed import (
    MOST_EVENTS,
    Actor,
    Artifact,
    ArtifactState,
    Event,
    EventKind,
    Health,
    HealthCode,
    Live,
    NotDeclared,
    Observed,
    Owned,
    Record,
    Refusal,
    Score,
    WayBack,
    Witness,
    served,
)
from reconciler.model.outcome import (
    TOUCHED,
    Failure,
    Held,
    History,
    MadeVersion,
    Proof,
    Reached,
    Report,
    Unfinished,
    VersionState,
)
from reconciler.model.places import NOWHERE, Address, AddressId, Source, folded
from reconciler.model.plan import (
    GIVEN,
    KEPT_IN,
    LEAST_RUNS,
    MADE_FROM,
    PUBLISHED_TO,
    READ_FROM,
    REGISTERED_AT,
    TAKEN,
    TAKEN_FROM,
    TO_DO,
    TRAINED_AT,
    TRAINED_WITH,
    Action,
    Change,
    Drift,
    FieldDiff,
    Forecast,
    Plan,
    Wave,
)
from reconciler.model.reasons import TO_TRAIN, Reason
from reconciler.model.versions import (
    FILE,
    MANIFEST_FILE,
    METRICS,
    MODEL,
    REGISTRY,
    Judgement,
    Model,
    ModelRef,
    Recipe,
    Rule,
    RuleKind,
    Version,
    canonical_json,
    training_key,
)
