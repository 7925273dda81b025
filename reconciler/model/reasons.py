"""Why a change is as it is: the reasons that the core decides by.

The values stand in plans, reports and annotations, so they stay as they are. A platform that
refuses an address may give a reason of its own (`Refusal.code`); the core shows such a reason and
never compares it.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The reason code of a change, grouped by the action that it mostly stands beside."""

    # nothing to do
    IN_SYNC = "in_sync"
    PAUSED = "paused"  # left as it is, which says nothing about agreement
    NOT_DECLARED = "not_declared"  # this environment made it, and git stopped declaring it
    ABSENT = "absent"  # declared to be absent: gone, or to be deleted

    # train
    NOT_TRAINED = "not_trained"
    RETRY = "retry"  # the last job failed, and another may be tried

    # bind, create, update
    VERSION_CHANGED = "version_changed"
    FOREIGN_MODEL = "foreign_model"  # the store knows no such model
    CONFIGURED_OTHERWISE = "configured_otherwise"  # another model is configured than serves
    CREATED = "created"  # this program made the endpoint and has proved nothing there yet
    ROLL_BACK = "roll_back"  # a rejected version serves; the previous model returns
    OFFLINE = "offline"  # the store was not read
    SETTINGS = "settings"
    UNMARKED = "unmarked"  # made by hand, and bound: it gets the mark of its owner
    RETIRE = "retire"  # the previous model is still there, and its time is over

    # wait
    TRAINING = "training"
    UPDATING = "updating"  # another update of the endpoint is under way
    UNPROVED = "unproved"  # swapped in by this program; `apply` proves it

    # refused
    UNREADABLE = "unreadable"  # an error rather than a refusal
    REFUSED = "refused"  # by this program, before it asked the platform
    NOT_KNOWN_OFFLINE = "not_known_offline"  # the snapshot does not hold it
    NOT_EXPORTED = "not_exported"
    NOT_A_DEFINITION = "not_a_definition"  # what was exported
    MISSING = "missing"  # no endpoint, and none is declared to be made
    NOT_OWNED = "not_owned"  # it was made elsewhere
    PROTECTED = "protected"
    SAME_ENDPOINT = "same_endpoint"  # two bindings lead to one endpoint
    RECIPE_CHANGED = "recipe_changed"
    GATE = "gate"
    NOT_YET = "not_yet"  # it was not proved where it must be before
    OTHER_SHARD = "other_shard"  # another shard has the endpoint that must prove it first
    FROZEN = "frozen"  # in a freeze a run ends what was begun, and nothing else
    OVER_LIMIT = "over_limit"  # as in a freeze, where the plan exceeds a limit
    REJECTED = "rejected"
    NO_WAY_BACK = "no_way_back"
    TRAINING_FAILED = "training_failed"
    OVERDUE = "overdue"  # the job must be cancelled before its failure is noted
    INPUT_MISSING = "input_missing"
    INPUT_UNFIT = "input_unfit"
    NOT_REGISTERED = "not_registered"  # the registry has no such version, or none to be taken in
    MODEL_MISSING = "model_missing"
    MODEL_CHANGED = "model_changed"


class Cause(StrEnum):
    """The cause of a change: the declaration of now, or something before it.

    What is declared is compared with the base commit of a pull request; elsewhere with what earlier
    runs left behind, which is the record of the endpoint and the manifest of its version.
    """

    NOTHING = "nothing"  # there is nothing to do
    CHANGE = "change"  # the declaration is another one: no run has proved or tried it
    DRIFT = "drift"  # changed outside git after the last proof
    FAILED = "failed"  # an earlier run tried it, or the endpoint cannot be read
    REFUSED = "refused"  # of an endpoint whose declaration is as it was
    BEGUN = "begun"  # an earlier run began it, or an earlier change declared it


TO_TRAIN = (Reason.NOT_TRAINED, Reason.RETRY)
