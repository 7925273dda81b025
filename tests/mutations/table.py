"""The defences of the product, each taken out once, and the tests that must miss it.

One row: what the product does without the defence; the file; the fragment, which must be there
exactly once; what stands there instead; the tests, as cheap as there are. Add a row with every
defence. A fragment that was rewritten is corrected here in the same commit.
"""

from __future__ import annotations

from tests.mutations.runner import Mutation


def _mutations(path: str, *rows: tuple[str, str, str, str]) -> list[Mutation]:
    """The mutations of one file; the last cell of a row lists tests, one a line."""
    return [
        Mutation(name, path, fragment, replacement, tuple(tests.split()))
        for name, fragment, replacement, tests in rows
    ]


# --- one run at a time ------------------------------------------------------------------------

_ALONE = _mutations(
    "reconciler/cli/applying.py",
    (
        "apply takes no lock",
        "    with lock.held(holder, order.lock_timeout_s, waiting=say, lost=lost):\n        stop.lock = None if stop.event.is_set() else lock\n",
        "    with contextlib.nullcontext():\n        stop.lock = None\n",
        "tests/cli/test_safety.py::test_a_second_run_is_refused_and_told_who_holds_the_lock",
    ),
    (
        "a run that lost its lock goes on",
        "stop.lock = None if stop.event.is_set() else lock",
        "stop.lock = None",
        "tests/cli/test_safety.py::test_a_run_that_was_paused_writes_nothing_before_it_hears_that_its_lock_is_lost",
    ),
    (
        "an approved plan is not marked when it is begun",
        "world.ledger.plans.begin(plan, world.actor, now)",
        "pass",
        "tests/cli/test_safety.py::test_a_plan_whose_run_was_stopped_may_be_gone_on_with",
    ),
    (
        "a plan whose run was stopped counts as applied",
        "                for plan in approved if not stop.event.is_set() else ():\n                    world.ledger.plans.end(",
        "                for plan in approved:\n                    world.ledger.plans.end(",
        "tests/cli/test_safety.py::test_a_plan_whose_run_was_stopped_may_be_gone_on_with",
    ),
    (
        "a lost lock is no failure of the run",
        "failures=(*made.failures, *_lock_failures(self.opened), *unread),",
        "failures=(*made.failures, *unread),",
        "tests/cli/test_safety.py::test_a_run_that_loses_its_lock_ends_with_its_own_code_and_says_so",
    ),
    (
        "a shard does not wait for the one that has the first endpoint of a fleet",
        "    opened.await_others(order.lock_timeout_s)\n",
        "",
        "tests/races/test_races.py::test_a_shard_waits_for_the_one_that_has_the_first_endpoint",
    ),
    (
        "a world that was exchanged after the plan is written to",
        "    opened.check_world()\n",
        "",
        "tests/cli/test_worlds.py::test_a_world_that_was_exchanged_after_the_plan_is_not_written_to",
    ),
)

_LOCK = _mutations(
    "reconciler/ledger/lock.py",
    (
        "a renewal that is refused is not lost",
        "self._lose(exc.message)",
        'log.warning("lost")',
        "tests/engine/test_ledger.py::test_a_lock_that_was_broken_is_lost",
    ),
    (
        "a lock whose renewal hangs is held on to",
        "if self.clock.now() - self._renewed > LEASE_S - self.renew_s:",
        "if False:",
        "tests/cli/test_safety.py::test_a_lock_whose_renewal_hangs_is_given_up_before_its_lease_ends",
    ),
    (
        "the lock of a run that lives is taken over",
        "since = self._watched.setdefault(seen.etag, now)",
        "since = self._watched.setdefault(self._name, now)",
        "tests/engine/test_lock.py::test_the_lock_of_a_run_that_lives_is_never_taken",
    ),
    (
        "a dead rival does not hear that its lock was ended",
        "(self._is_dead(seen) and lock._end(seen))",
        "self._is_dead(seen)",
        "tests/engine/test_lock.py::test_a_dead_rival_is_ended_and_hears_of_it",
    ),
    (
        "locks of shards that overlap do not exclude each other",
        "return other._name != self._name and not (mine and mine == its)",
        "return False",
        "tests/cli/test_safety.py::test_locks_that_overlap_exclude_each_other",
    ),
    (
        "a list that does not show our own lock is believed",
        "if listed.get(self._name, \"\").strip('\"') != self._etag.strip('\"'):",
        "if False:",
        "tests/cli/test_safety.py::test_a_list_that_does_not_show_our_own_lock_is_not_believed",
    ),
    (
        "a lock is not given back",
        '            self._swap({**self._record, "nonce": ""})\n',
        "            pass\n",
        "tests/engine/test_lock.py::test_a_lock_is_given_back",
    ),
)

_ALIVE = _mutations(
    "reconciler/stores/alive.py",
    (
        "a sign of another machine is judged here",
        "if parts is None or parts[1] != _boot():",
        "if parts is None:",
        "tests/engine/test_lock.py::test_a_sign_of_another_machine_says_nothing",
    ),
)

_COMPOSE = _mutations(
    "reconciler/cli/compose.py",
    (
        "a command that only reads may take a lock",
        "Ledger(store, opened(environment.store, stop.writing))",
        "Ledger(store, opened(environment.store, str))",
        "tests/studio/test_survey.py::test_who_only_reads_has_stores_that_are_only_read",
    ),
    (
        "a run without its lock writes to the store",
        "opened(environment.store, stop.lost), opened(environment.data, stop.lost)",
        "opened(environment.store, str), opened(environment.data, str)",
        "tests/engine/test_lock.py::test_a_run_that_lost_its_lock_writes_nothing_anywhere",
    ),
    (
        "a run without its lock changes endpoints",
        "http.halted_by(stop.halted),",
        "http,",
        "tests/engine/test_lock.py::test_a_run_that_lost_its_lock_writes_nothing_anywhere",
    ),
)

_STOPPING = _mutations(
    "reconciler/cli/stopping.py",
    (
        "a command that only reads may write",
        "        if self.reading:\n",
        "        if False:\n",
        "tests/studio/test_survey.py::test_who_only_reads_has_stores_that_are_only_read",
    ),
    (
        "a clock that is set ends a lock",
        "return self._began + _seconds()",
        "return time.time()",
        "tests/engine/test_lock.py::test_a_clock_that_is_set_neither_stalls_a_run_nor_ends_its_lock",
    ),
)

# --- compare and swap -------------------------------------------------------------------------

_BLOB = _mutations(
    "reconciler/stores/azure_blob.py",
    (
        "a replacement does not name the ETag it replaces",
        'self._write(name, content, {"If-Match": etag})',
        "self._write(name, content, {})",
        "tests/http/test_wire_blob.py::test_a_stale_replacement_is_a_conflict",
    ),
    (
        "a claim overwrites what is there",
        'self._write(name, content, {"If-None-Match": "*"})',
        "self._write(name, content, {})",
        "tests/http/test_wire_blob.py::test_of_many_who_claim_one_wins",
    ),
    (
        "a claim whose answer was lost is lost to nobody",
        "if stored is None or stored.content != content:",
        "if True:",
        "tests/http/test_wire_blob.py::test_a_claim_whose_answer_was_lost_is_still_ours",
    ),
    (
        "every conflict is taken for our own write",
        "if stored is None or stored.content != content:",
        "if stored is None:",
        "tests/http/test_wire_blob.py::test_a_stale_replacement_is_a_conflict",
    ),
    (
        "any 404 of the store is an absence",
        'if exc.code != "BlobNotFound":',
        "if False:",
        "tests/http/test_wire_blob.py::test_a_404_that_is_not_from_storage_is_an_error",
    ),
    (
        "a list with nameless blobs is believed",
        "if len(named) != len(blobs):",
        "if False:",
        "tests/http/test_wire_blob.py::test_a_list_that_is_none_is_unreadable",
    ),
    (
        "bytes that are not those stored are believed",
        "if md5 and md5 != md5_of(answer.body):",
        "if False:",
        "tests/http/test_wire_blob.py::test_bytes_that_are_not_those_stored_are_unreadable",
    ),
    (
        "an answer without an ETag is one of the store",
        'if not (etag := answer.headers.get("ETag", "")):',
        'if (etag := answer.headers.get("ETag", "")) is None:',
        "tests/http/test_wire_blob.py::test_a_page_of_a_proxy_is_neither_a_write_nor_a_blob",
    ),
    (
        "a list of blobs that leads round in circles is followed for ever",
        "if marker in markers or (page and page[0].name in firsts):",
        "if False:",
        "tests/fuzz/test_wire_bodies.py::test_a_list_whose_pages_lead_round_in_circles_is_an_error",
    ),
)

_SAS = _mutations(
    "reconciler/stores/azure_sas.py",
    (
        "on Azure a SAS may go by plain http",
        '"spr": "https" if https_only else "",',
        '"spr": "",',
        "tests/http/test_wire_blob.py::test_on_azure_a_grant_is_for_https_only",
    ),
)

_LISTS = _mutations(
    "reconciler/stores/azure_lists.py",
    (
        "a copy in the metadata is believed whatever the blob holds",
        "return content if md5_of(content) == md5 else None",
        "return content",
        "tests/studio/test_survey.py::test_a_blob_that_a_list_does_not_wholly_show_is_read",
    ),
    (
        "a copy may grow without end",
        "unpacked.decompress(base64.b64decode(copy, validate=True), _MOST_COPIED_BYTES)",
        "unpacked.decompress(base64.b64decode(copy, validate=True))",
        "tests/stores/test_survey.py::test_a_copy_that_grows_without_end_is_not_unpacked",
    ),
)

_NAMES = _mutations(
    "reconciler/stores/contract.py",
    (
        "names that HTTP libraries rewrite reach another blob",
        'return not (any(part in ("", ".", "..") for part in text.split("/")) or _NO_NAME.search(text))',
        "return True",
        "tests/http/test_wire_blob.py::test_names_that_would_reach_another_blob_are_refused",
    ),
)

_READING = _mutations(
    "reconciler/stores/contract.py",
    (
        "a store that is only read is written to",
        'raise RuntimeError(f"writing {name} in {self.uri}: a write in a command that only reads")',
        "self._store.put(name, b'')",
        "tests/studio/test_survey.py::test_a_survey_refuses_to_write",
    ),
)

_REFERENCES = _mutations(
    "reconciler/platforms/studio/blobs.py",
    (
        "a blob at a host of anybody is fetched",
        "if url not in hosts.origins:",
        "if False:",
        "tests/studio/test_blobs.py::test_a_reference_to_another_host_is_refused",
    ),
)

_LEDGER = _mutations(
    "reconciler/ledger/__init__.py",
    (
        "a version is claimed over the claim of another run",
        "self._store.put_if_absent(name, manifest_json(manifest))",
        "self._store.put(name, manifest_json(manifest))",
        "tests/engine/test_ledger.py::test_who_claims_a_version_second_gets_the_claim_of_the_first",
    ),
    (
        "a manifest is written over what another run wrote",
        "self._store.replace(name, manifest_json(manifest), entry.etag)",
        "self._store.put(name, manifest_json(manifest))",
        "tests/engine/test_ledger.py::test_a_manifest_that_another_run_changed_is_not_written_over",
    ),
    (
        "a record is written over what another run wrote",
        "self._store.swap(name, content, record.etag)",
        "self._store.put(name, content)",
        "tests/engine/test_ledger.py::test_a_record_that_another_run_changed_is_not_written_over",
    ),
) + _mutations(
    "reconciler/stores/contract.py",
    (
        "a first record is written over that of another run",
        "if etag else self.put_if_absent(name, content)",
        "if etag else self.put(name, content)",
        "tests/engine/test_ledger.py::test_a_record_that_another_run_changed_is_not_written_over",
    ),
)

_MANIFEST = _mutations(
    "reconciler/ledger/manifest.py",
    (
        "the manifest of another version is believed",
        'if name != f"{manifest.version.folder}/{MANIFEST_FILE}":',
        "if False:",
        "tests/studio/test_foreign_answers.py::test_the_manifest_of_another_version",
    ),
)

_RECORD = _mutations(
    "reconciler/ledger/manifest.py",
    (
        "the record of another address is believed",
        "Record, what, address=folded(str(address)))",
        "Record, what)",
        "tests/studio/test_foreign_answers.py::test_the_record_of_another_endpoint",
    ),
)

# --- training ---------------------------------------------------------------------------------

_TRAIN = _mutations(
    "reconciler/engine/train.py",
    (
        "a job is started before it is noted",
        "    attempt = Attempt(job, world.moment, inputs)\n",
        "    attempt = Attempt(job, world.moment, inputs)\n    trainer.start(job, order)\n",
        "tests/engine/test_run.py::test_the_state_of_a_new_job_is_read_beside_its_note_where_a_thread_is_free",
    ),
    (
        "a job is started although another run noted its own first",
        'log.debug("job %s stays unstarted: another run noted its own first", job)\n        return ""',
        'trainer.start(job, order)\n        return ""',
        "tests/engine/test_ledger.py::test_a_job_is_not_started_where_another_run_noted_its_own_first",
    ),
    (
        "there is no end of attempts",
        "not (attempts[-1].failure and len(attempts) < binding.attempts)",
        "not attempts[-1].failure",
        "tests/engine/test_run.py::test_a_step_that_comes_after_the_last_attempt_of_another_run_begins_no_other",
    ),
    (
        "a job is started again whatever its state",
        "if trainer.look(job).state is JobState.NOT_STARTED:",
        "if True:",
        "tests/engine/test_ledger.py::test_a_job_that_runs_is_not_started_again",
    ),
    (
        "a version is trained over the claim for another recipe",
        "return world.ledger.write(entry, ours) if entry.manifest.vacant else None",
        "return world.ledger.write(entry, ours)",
        "tests/engine/test_ledger.py::test_a_version_that_was_claimed_for_another_recipe_is_not_ours_to_train",
    ),
    (
        "an overdue job is not cancelled",
        "world.trainers[binding.recipe.trainer].cancel(artifact.job)",
        "pass",
        "tests/studio/test_switches.py::test_a_job_that_takes_too_long_is_cancelled",
    ),
)

_OBSERVE = _mutations(
    "reconciler/engine/observe.py",
    (
        "what could not be read is missing",
        "live = Live(Health(HealthCode.UNKNOWN, exc.message))",
        "live = Live(Health(HealthCode.MISSING, exc.message))",
        "tests/studio/test_switches.py::test_a_read_that_fails_never_becomes_a_change",
    ),
    (
        "a model file that was written again after its evaluation is bound",
        "if evaluated and file.fingerprint != evaluated:",
        "if False:",
        "tests/studio/test_way_back.py::test_a_model_file_that_was_written_again_after_its_evaluation_is_not_bound",
    ),
    (
        "a model may lie where the job says",
        "if model != place and other is None:",
        "if False:",
        "tests/engine/test_outputs.py::test_a_model_that_is_not_where_it_was_to_be_written_is_none_of_ours",
    ),
    (
        "a model that nobody proved is the measure for the next",
        "metrics = None if unproved else metrics_of(world, binding, live.served, record)",
        "metrics = metrics_of(world, binding, live.served, record)",
        "tests/studio/test_way_back.py::test_a_model_that_nobody_proved_is_no_measure_for_the_way_to_the_one_before",
    ),
    (
        "a job that the service forgot for a moment has failed",
        "case JobState.FORGOTTEN if waiting_s > access_s(binding):",
        "case JobState.FORGOTTEN if True:",
        "tests/engine/test_outputs.py::test_a_job_that_the_service_forgot_has_failed_only_after_its_access_has_ended",
    ),
    (
        "rows of changed data count for the gate",
        "if files.keys() != attempt.inputs.keys() or attempt.changed(properties):",
        "if False:",
        "tests/engine/test_outputs.py::test_rows_of_data_that_changed_since_the_training_count_for_nothing",
    ),
)

# --- gates ------------------------------------------------------------------------------------

_GATES = _mutations(
    "reconciler/gates.py",
    (
        "every model is accepted",
        "return all(judgement.passed for judgement in judgements)",
        "return True",
        "tests/test_plan.py::test_a_gate_judges",
    ),
    (
        "a rule that cannot be judged lets a model through",
        "return all(judgement.passed for judgement in judgements)",
        "return all(judgement.passed is not False for judgement in judgements)",
        "tests/test_plan.py",
    ),
    (
        "of errors and losses larger is better",
        "return _LOWER.search(metric.lower()) is not None",
        "return False",
        "tests/test_plan.py::test_of_errors_and_losses_smaller_is_better",
    ),
    (
        "any number of rows is enough",
        "if rows >= rule.bound:",
        "if True:",
        "tests/test_plan.py::test_too_few_rows_are_inconclusive_and_no_failure",
    ),
    (
        "a worse model than the live one is accepted",
        "passed = gain > rule.bound if better else gain >= -rule.bound",
        "passed = True",
        "tests/test_plan.py::test_a_gate_judges",
    ),
)

# --- the plan ---------------------------------------------------------------------------------

_PLAN = _mutations(
    "reconciler/plan.py",
    (
        "what was made by hand is pruned",
        "if owned.adopted:",
        "if False:",
        "tests/test_plan_lifecycle.py::test_what_was_made_by_hand_is_never_pruned_and_the_plan_says_how_to_delete_it",
    ),
    (
        "the plan binds what its gates refuse",
        "if not gates.allows(judged):",
        "if False:",
        "tests/test_plan.py",
    ),
    (
        "what cannot be read is planned for all the same",
        "if health.code is HealthCode.UNKNOWN:\n        yield _Step(Action.BLOCK, Reason.UNREADABLE, health.message)\n    if live.refusal",
        "if live.refusal",
        "tests/test_plan.py",
    ),
    (
        "what must not be written is planned for all the same",
        "if live.refusal is not None:",
        "if False:",
        "tests/test_plan.py",
    ),
    (
        "a rejected version is bound again",
        "_Step(Action.BLOCK, Reason.REJECTED, _rejected(observed), diffs)",
        "_Step(Action.BIND, Reason.REJECTED, _rejected(observed), diffs)",
        "tests/test_plan.py",
    ),
    (
        "a version is trained anew by another recipe",
        "if claimed is not None and claimed != declared:",
        "if False:",
        "tests/test_plan.py",
    ),
    (
        "a swap needs no way back",
        "if lost and not observed.binding.adopt:",
        "if False:",
        "tests/studio/test_way_back.py::test_a_live_model_whose_file_is_gone_blocks_the_swap",
    ),
    (
        "two bindings undo each other at one endpoint",
        "if others:",
        "if False:",
        "tests/studio/test_convergence.py::test_two_bindings_that_turn_out_to_be_one_endpoint_are_refused_both",
    ),
    (
        "protect protects nothing",
        "if binding.protect and not binding.forced and change.action in TO_DO and not only_protects:",
        "if False:",
        "tests/studio/test_approval.py::test_a_protected_binding_is_refused_and_the_others_go_on",
    ),
    (
        "a paused binding is changed",
        "if binding.paused:",
        "if False:",
        "tests/studio/test_approval.py::test_a_paused_binding_is_left_alone_and_shown",
    ),
    (
        "absence deletes what somebody else made",
        "if not live.ours:",
        "if False:",
        "tests/test_plan_lifecycle.py",
    ),
    (
        "absence deletes what the platform keeps",
        "if live.keep is not None:",
        "if False:",
        "tests/test_plan_lifecycle.py",
    ),
    (
        "prune deletes although not everything was read",
        "if prune is None or blind:",
        "if prune is None:",
        "tests/test_plan_lifecycle.py::test_an_incomplete_read_prunes_nothing_and_says_so",
    ),
    (
        "prune deletes what is protected",
        "if owned.protected and not prune.forced:",
        "if False:",
        "tests/test_plan_lifecycle.py::test_prune_keeps_what_is_protected_unless_it_is_forced",
    ),
)

_COVERED = _mutations(
    "reconciler/approval.py",
    (
        "--expect expects nothing",
        "if self.expect is not None and fresh.digest != self.expect:",
        "if False:",
        "tests/cli/test_approval_of_plans.py",
    ),
    (
        "a plan file approves whatever the plan is by now",
        "if sentences := beyond(fresh, self.plan):",
        "if sentences := ():",
        "tests/cli/test_approval_of_plans.py",
    ),
    (
        "merged plans approve what none of them shows",
        "if not left:",
        "if True:",
        "tests/cli/test_approval_of_plans.py",
    ),
    (
        "merged plans approve twice",
        "[plan for plan in self.merged if not marks.ended(plan)]",
        "self.merged",
        "tests/cli/test_approval_of_plans.py",
    ),
    (
        "limits limit nothing",
        "if fresh.excess and not self.force:",
        "if False:",
        "tests/cli/test_approval_of_plans.py",
    ),
    (
        "a plan of one world is applied to another",
        'if self.plan.world not in ("", fresh.world):',
        "if False:",
        "tests/cli/test_worlds.py::test_a_plan_of_one_world_is_not_applied_to_another",
    ),
    (
        "an approval covers a swap to any model",
        "to_the_end = same_end or now.code == Reason.ROLL_BACK",
        "to_the_end = True",
        "tests/cli/test_approval_of_plans.py",
    ),
    (
        "an approval covers a swap from any model",
        "and _goes_on_from(approved, now)",
        "and True",
        "tests/studio/test_approval.py::test_a_swap_from_another_model_than_was_planned_is_not_carried_out",
    ),
    (
        "an approval covers any settings",
        "and _owned(now) <= _owned(approved)",
        "and True",
        "tests/test_plan_lifecycle.py::test_other_settings_than_the_approved_are_not_written",
    ),
    (
        "an approval covers a training that it does not show",
        "and (approved.trains or approved.code == Reason.TRAINING or not now.trains)",
        "and True",
        "tests/test_plan_lifecycle.py::test_who_approves_a_creation_without_a_training_approves_none",
    ),
    (
        "an approval covers any proof",
        "if change.probe != approved.probe:",
        "if False:",
        "tests/studio/test_approval.py::test_a_proof_that_was_loosened_after_the_approval_is_not_approved",
    ),
    (
        "an approval covers any gates",
        "if now == then or change.code in (*AFTER_THE_SWAP, *_NO_SWAP):",
        "if True:",
        "tests/studio/test_approval.py::test_gates_that_were_loosened_after_the_approval_are_not_approved",
    ),
    (
        "an approval covers any terms",
        "if other := [name for name in change.terms if change.terms[name] != approved.terms.get(name)]:",
        "if other := [name for name in change.terms if False]:",
        "tests/studio/test_approval.py::test_what_git_says_otherwise_after_the_approval_is_not_approved",
    ),
    (
        "an approval covers another environment",
        "if (fresh.environment, fresh.cloud) != (approved.environment, approved.cloud):",
        "if False:",
        "tests/cli/test_approval_of_plans.py",
    ),
)

_STEPS = _mutations(
    "reconciler/engine/machine.py",
    (
        "a step does what nobody approved",
        "if not covers(task.approved, change) and not _lost_by_our_settings(state, change):",
        "if False:",
        "tests/studio/test_approval.py::test_a_swap_that_turned_into_a_training_is_not_carried_out",
    ),
    (
        "trouble that does not pass is tried for ever",
        "if not passes or state.troubles >= MOST_TROUBLES:",
        "if not passes:",
        "tests/engine/test_run.py::test_trouble_that_does_not_pass_ends_in_a_failure_that_says_so",
    ),
    (
        "what another operation keeps busy is not waited for",
        "passes = isinstance(exc, ConflictError | UnavailableError | UnreachableError)",
        "passes = isinstance(exc, UnavailableError | UnreachableError)",
        "tests/azureml/test_endpoint.py::test_a_409_is_waited_for",
    ),
    (
        "a wrong probe costs a training before it is found",
        "if change.trains and swap.must_probe(state, observed):",
        "if False:",
        "tests/studio/test_switches.py::test_missing_columns_are_the_probes_mistake_and_found_before_anything_is_trained",
    ),
)

_WAVES = [
    *_mutations(
        "reconciler/engine/waves.py",
        (
            "the next wave begins although the former was not proved",
            "        if fleet.why:\n            self._hold",
            "        if False:\n            self._hold",
            "tests/cli/test_rollout.py::test_a_run_says_how_many_were_spared",
        ),
        (
            "a wave begins before it has soaked",
            "if due > now and any(wave.soak_s",
            "if False and any(wave.soak_s",
            "tests/conformance/test_waves.py::test_a_run_ends_for_a_soak_and_a_later_one_goes_on",
        ),
        (
            "a run that can only wait takes the lock",
            "        and seconds_since_epoch(change.wave.not_before) > now + SLOW_S\n",
            "        and False\n",
            "tests/cli/test_rollout.py::test_a_run_that_can_only_wait_says_until_when_and_writes_nothing",
        ),
    ),
    *_mutations(
        "reconciler/engine/interpreter.py",
        (
            "a run that began before a freeze changes endpoints in it",
            "(why := self._world.frozen())",
            "(why := str())",
            "tests/cli/test_frozen.py::test_a_freeze_that_begins_while_a_run_trains_is_obeyed",
        ),
        (
            "a version is switched to that was rejected since the look",
            "                self._refuse_rejected(binding)\n                return target.switch",
            "                return target.switch",
            "tests/conformance/test_waves.py::test_a_version_is_not_switched_to_that_was_rejected_since_the_look",
        ),
        (
            "a version is rejected where only its settings failed",
            "                    if do.spares:\n",
            "                    if False:\n",
            "tests/azureml/test_variables.py::test_a_rotated_secret_that_the_code_does_not_take_never_gets_traffic",
        ),
    ),
    *_mutations(
        "reconciler/engine/rollback.py",
        (
            "a version is rejected by hand where only its settings were rolled back",
            " and not back.spares:",
            ":",
            "tests/azureml/test_variables.py::test_a_roll_back_by_hand_from_other_settings_spares_the_version",
        ),
        (
            "settings are rejected though their way back is gone",
            "if target not in observed.live.retired:",
            "if False:",
            "tests/azureml/test_variables.py::test_a_roll_back_to_settings_whose_deployment_is_gone_rejects_nothing",
        ),
    ),
    *_mutations(
        "reconciler/model/observed.py",
        (
            "settings that a person rolled back from are bound again",
            "failed.what is EventKind.SETTINGS_REJECTED",
            "False",
            "tests/azureml/test_variables.py::test_a_roll_back_by_hand_from_other_settings_spares_the_version",
        ),
    ),
    *_mutations(
        "reconciler/engine/required.py",
        (
            "a version that was taken back elsewhere counts as proved there",
            "elif what is spoils and (since or same):",
            "elif False:",
            "tests/cli/test_requires.py::test_only_a_proof_that_lasted_counts",
        ),
        (
            "a version is bound that was proved nowhere",
            "    if not since:\n        return f",
            '    if not since:\n        return "" and f',
            "tests/cli/test_requires.py::test_a_version_waits_for_its_proof_elsewhere",
        ),
    ),
    *_mutations(
        "reconciler/engine/prove.py",
        (
            "an answer that breaks its readers is proved",
            "if binding.breaking or before is None",
            "if True or before is None",
            "tests/conformance/test_configured.py::test_a_version_whose_answer_breaks_its_readers_is_found_and_taken_back",
        ),
        (
            "an answer that does not agree with the other binding's is proved",
            "or other is None or probe.compare is None:",
            "or True or other is None or probe.compare is None:",
            "tests/conformance/test_compared.py::test_a_candidate_that_does_not_agree_is_rejected_and_the_other_endpoint_is_left_alone",
        ),
        (
            "a model that nobody proved is the measure for another endpoint",
            "if live.served != wanted or live.undecided or not proved:",
            "if live.served != wanted or live.undecided:",
            "tests/conformance/test_compared.py::test_what_cannot_be_had_of_the_other_endpoint_fails_no_proof_and_is_said",
        ),
    ),
    *_mutations(
        "reconciler/model/desired.py",
        (
            "nobody approves the request that another binding is compared by",
            "[[str(with_), with_.address, with_.request]] if with_ else []",
            "[[str(with_)]] if with_ else []",
            "tests/conformance/test_compared.py::test_people_approve_what_answers_are_compared_with",
        ),
    ),
    *_mutations(
        "reconciler/approval.py",
        (
            "a change is approved in a freeze",
            "        if fresh.frozen and not self.force:",
            "        if False:",
            "tests/cli/test_frozen.py::test_a_change_is_refused_until_the_end_of_the_window",
        ),
    ),
    *_mutations(
        "reconciler/waves.py",
        (
            "a fleet without a rollout gets a version at once",
            "if endpoints > ALWAYS_AT_ONCE else None)",
            "if False else None)",
            "tests/test_waves.py",
        ),
        (
            "what waits for another shard is refused at once",
            "if why and change.name in waits.awaited:",
            "if False:",
            "tests/cli/test_rollout.py::test_an_approved_plan_of_a_shard_covers_what_waits_for_another_one",
        ),
        (
            "a version goes on beside an endpoint that may have it without a proof",
            "if rollout is not None and doubtful is not None:",
            "if False:",
            "tests/test_waves.py",
        ),
    ),
]

_PARTS = _mutations(
    "reconciler/engine/required.py",
    (
        "a part of a fleet does not wait for its first endpoint",
        "if not serves_proved(first):",
        "if False:",
        "tests/cli/test_rollout.py",
    ),
    (
        "a shard does not wait for the one that goes first",
        "if not pending or now - since >= idle_s or world.stopping():",
        "if True:",
        "tests/engine/test_required.py::test_a_first_endpoint_that_does_not_move_is_waited_for_with_patience",
    ),
    (
        "a shard waits for a first endpoint that was proved",
        "if not (serves_proved(o) or _is_over(o, began))",
        "if not _is_over(o, began)",
        "tests/engine/test_required.py::test_the_pause_after_a_proof_is_no_wait_for_a_proof",
    ),
    (
        "a shard waits for a first endpoint whose settings failed meanwhile",
        "or first.taken_back or tried",
        "or first.taken_back",
        "tests/engine/test_required.py::test_a_first_endpoint_that_failed_by_its_settings_is_not_waited_for",
    ),
    (
        "a model of one name counts as the one that was proved elsewhere",
        "if differ(observed.artifact, made):",
        "if False:",
        "tests/cli/test_requires.py",
    ),
)

_RUN = _mutations(
    "reconciler/engine/run.py",
    (
        "all waves begin at once",
        "if change.wave is None or shared.goal is not Goal.SERVED:",
        "if True:",
        "tests/conformance/test_waves.py",
    ),
    (
        "what the plan refuses is touched all the same",
        "work = [(by_address[c.address], c) for c in changes if c.code != Reason.NOT_DECLARED]",
        "work = [(by_address[c.address], c) for c in plan.changes if c.code != Reason.NOT_DECLARED]",
        "tests/studio/test_approval.py::test_what_could_not_be_read_while_planning_is_not_touched_afterwards",
    ),
    (
        "a stop stops nothing",
        "if not world.stopping():\n                stepping.hand_out(pool, parallel)",
        "if True:\n                stepping.hand_out(pool, parallel)",
        "tests/engine/test_run.py::test_no_step_begins_after_a_stop",
    ),
)

_LIMITS = _mutations(
    "reconciler/limits.py",
    (
        "any share of the endpoints may change at once",
        "if declared.environment <= ALWAYS_ALLOWED or changing * 100 <= most * of:",
        "if True:",
        "tests/test_plan.py::test_a_swap_that_waits_for_a_training_counts_against_the_limit",
    ),
    (
        "any number of versions may be trained at once",
        "if trainings <= environment.most_retrains:",
        "if True:",
        "tests/cli/test_safety.py::test_more_retrains_than_allowed_are_refused_and_forced_with_a_reason",
    ),
    (
        "prune may delete everything",
        "if deletes <= allowed:",
        "if True:",
        "tests/test_plan_lifecycle.py::test_prune_has_a_threshold_of_its_own",
    ),
)

# --- approval ---------------------------------------------------------------------------------

_APPROVAL = _mutations(
    "reconciler/cli/approval.py",
    (
        "a plan is applied twice",
        "plans.check(approval.plan)",
        "pass",
        "tests/cli/test_safety.py::test_a_plan_is_applied_once",
    ),
    (
        "nobody is asked where nobody approved",
        "if not (sys.stdin.isatty() and sys.stderr.isatty()):",
        "if True:\n        return\n    if False:",
        "tests/cli/test_approval_of_plans.py",
    ),
    (
        "a plan that was only printed approves",
        "if not plan.id:",
        "if False:",
        "tests/cli/test_safety.py::test_a_plan_that_was_only_printed_approves_nothing",
    ),
)

_APPROVED = _mutations(
    "reconciler/ci/approved.py",
    (
        "the plan of a pull request that was not merged approves",
        "if pull.merged and pull.base == branch:",
        "if pull.base == branch:",
        "tests/ci/test_approved.py::test_what_was_not_merged_approves_nothing",
    ),
    (
        "the plan of what was merged elsewhere approves",
        "if pull.merged and pull.base == branch:",
        "if pull.merged:",
        "tests/ci/test_approved.py::test_what_was_merged_into_another_branch_approves_nothing",
    ),
    (
        "the plan of a fork approves",
        "usable = [a for a in artifacts_of_it if a.own and not a.expired]",
        "usable = [a for a in artifacts_of_it if not a.expired]",
        "tests/ci/test_approved.py::test_a_plan_that_is_not_what_people_saw_approves_nothing",
    ),
    (
        "the plan of an earlier commit approves",
        "if plan.commit != pull.head:",
        "if False:",
        "tests/ci/test_approved.py::test_a_plan_that_is_not_what_people_saw_approves_nothing",
    ),
    (
        "a plan that was too long for its comment approves",
        'return "" if any(whole) else',
        'return "" if whole else',
        "tests/ci/test_approved.py::test_a_plan_that_is_too_long_for_its_comment_approves_nothing",
    ),
    (
        "a comment of anybody shows what was approved",
        "own = [comment for comment in marked if comment.author == viewer()]",
        "own = marked",
        "tests/ci/test_approved.py::test_a_comment_that_somebody_else_wrote_shows_nothing",
    ),
    (
        "a plan that no comment shows approves",
        "    if not whole:\n        return f",
        "    if not whole:\n        return '' and f",
        "tests/ci/test_approved.py::test_a_plan_that_its_comment_does_not_show_approves_nothing",
    ),
)

_ARTIFACTS = _mutations(
    "reconciler/ci/artifacts.py",
    (
        "a file in an artifact may be of any size",
        "if len(unpacked[name]) > most:",
        "if False:",
        "tests/ci/test_approved.py::test_a_plan_that_is_not_what_people_saw_approves_nothing",
    ),
)

# --- whose endpoint it is -----------------------------------------------------------------------

_WEB_SERVICE = _mutations(
    "reconciler/platforms/studio/new.py",
    (
        "any 404 of ARM is an absence",
        "if ABSENT in (exc.code, *exc.details):",
        "if True:",
        "tests/studio/test_new_lifecycle.py::test_any_other_404_says_nothing_of_the_service",
    ),
    (
        "what is not ours is deleted",
        "if why := keep(definition, _of(address).path, self._environment.mark):",
        "if why := None:",
        "tests/studio/test_new_lifecycle.py::test_what_is_not_ours_or_locked_is_never_deleted",
    ),
    (
        "what only the list says to be ours is ours",
        "if definition is not None and (tags := tagged(definition.tags)).is_of(mark):",
        "if definition is not None and (tags := tagged(definition.tags)):",
        "tests/studio/test_new_lifecycle.py::test_a_service_that_only_says_so_in_the_list_is_not_ours",
    ),
    (
        "a PUT overwrites what is there",
        "if self._definition(binding.address) is not None:",
        "if False:",
        "tests/studio/test_new_lifecycle.py::test_what_is_there_by_now_is_never_overwritten",
    ),
    (
        "a PUT is sent again without a look",
        "once=True,",
        "once=False,",
        "tests/studio/test_new_lifecycle.py::test_a_creation_is_sent_once_and_never_again_without_a_look",
    ),
    (
        "what is refused is written all the same",
        "if live.refusal is not None:\n            raise RefusedError",
        "if False:\n            raise RefusedError",
        "tests/studio/test_new_lifecycle.py::test_a_service_of_another_environment_is_not_written",
    ),
    (
        "a service without a name in a list is left out",
        'raise UnreadableError(f"{what}: a service came without a name")',
        "continue",
        "tests/studio/test_new_lifecycle.py::test_a_list_that_was_not_read_to_its_end_says_nothing",
    ),
)

_STATE = _mutations(
    "reconciler/platforms/studio/new_state.py",
    (
        "a service of another environment may be written",
        "if environment and mark.environment and not mark.is_of(environment.mark):",
        "if False:",
        "tests/studio/test_new_lifecycle.py::test_a_service_of_another_environment_is_not_written",
    ),
    (
        "secrets of a definition are sent back",
        "if with_credentials := assets_with_credentials(definition, model):",
        "if with_credentials := ():",
        "tests/studio/test_new.py::test_assets_with_credentials_are_refused_since_they_would_be_sent_back",
    ),
)

_CLASSIC = _mutations(
    "reconciler/platforms/studio/classic.py",
    (
        "a 404 alone makes an endpoint",
        "if where.endpoint.casefold() in names:",
        "if False:",
        "tests/studio/test_lifecycle.py::test_a_step_believes_no_404_of_an_endpoint_that_the_service_lists",
    ),
    (
        "an endpoint of nobody is deleted",
        "if (keep := keep_of(service, endpoint)) or not ours:",
        "if keep := keep_of(service, endpoint):",
        "tests/studio/test_lifecycle.py::test_an_endpoint_without_our_mark_is_never_deleted",
    ),
)

_CLASSIC_STATE = _mutations(
    "reconciler/platforms/studio/classic_state.py",
    (
        "the default endpoint is deleted",
        'return Refusal(Refused.DEFAULT_ENDPOINT, "the default endpoint is never deleted")',
        "pass",
        "tests/studio/test_lifecycle.py::test_the_default_endpoint_is_never_deleted_whatever_its_mark",
    ),
    (
        "an endpoint with the mark of another environment is bound",
        "refusal=foreign or _protected(endpoint),",
        "refusal=_protected(endpoint),",
        "tests/studio/test_lifecycle.py::test_what_another_environment_made_is_left_to_it",
    ),
    (
        "PreventUpdate prevents nothing",
        "refusal=foreign or _protected(endpoint),",
        "refusal=foreign,",
        "tests/studio/test_switches.py::test_a_protected_endpoint_is_refused",
    ),
)

# --- what a service says ------------------------------------------------------------------------

_NOT_DECLARED = _mutations(
    "reconciler/engine/survey.py",
    (
        "an equal mark is enough to delete what another clone made",
        "if not owned.adopted and world.ledger.record(owned.address) is None:",
        "if False:",
        "tests/cli/test_prune.py::test_an_endpoint_that_only_carries_an_equal_mark_is_not_pruned",
    ),
    (
        "a list that was not read to its end shows that nothing is left",
        'unread.append(f"{kind}: {exc.message}")',
        "pass",
        "tests/studio/test_lifecycle_new.py::test_what_was_not_read_to_its_end_deletes_nothing",
    ),
)

_ARM_LIST = _mutations(
    "reconciler/platforms/arm.py",
    (
        "a list of ARM that leads round in circles is followed",
        "if url in seen:",
        "if False:",
        "tests/studio/test_new_lifecycle.py::test_a_list_that_leads_round_in_circles_says_nothing",
    ),
    (
        "a page that is no page ends a list",
        "raise answer.unreadable('a page with a list \"value\" of objects')",
        "break",
        "tests/studio/test_new_lifecycle.py::test_a_list_that_was_not_read_to_its_end_says_nothing",
    ),
)

_MEMBERS = _mutations(
    "reconciler/platforms/members.py",
    (
        "an answer about another resource is believed",
        "if there and unquote(there).casefold() != unquote(wanted).casefold():",
        "if False:",
        "tests/studio/test_foreign_answers.py::test_another_endpoint_of_the_service",
    ),
)

_OPERATION = _mutations(
    "reconciler/platforms/arm.py",
    (
        "an operation without a state has succeeded",
        'raise UnreadableError("the operation\'s answer has no status")',
        'return ""',
        "tests/studio/test_new.py::test_an_operation_without_a_state_is_unreadable",
    ),
    (
        "an operation that failed is under way",
        "if state.casefold() in FAILED_STATES:",
        "if False:",
        "tests/studio/test_new.py::test_a_failed_operation_gives_its_reason_in_either_shape",
    ),
)

_RESPONSE = _mutations(
    "reconciler/http/response.py",
    (
        "too many requests is a refusal for good",
        "if status in (408, 429) or status >= 500:",
        "if status >= 500:",
        "tests/http/test_wire_http.py::test_each_status_has_its_error",
    ),
    (
        "what is no JSON is an empty object",
        'raise self.unreadable("JSON", "" if self.is_page or not self.body else f" ({why})")',
        "return {}",
        "tests/http/test_wire_http.py::test_what_is_not_json_is_unreadable",
    ),
    (
        "XML may define entities",
        'if "<!DOCTYPE" in text:',
        "if False:",
        "tests/http/test_wire_blob.py::test_a_list_that_is_none_is_unreadable",
    ),
    (
        "a message of a service holds secrets",
        '    text = redact(text)\n    line = "".join(c if c.isprintable() else " " for c in text)\n    line = " ".join(redact(line).split())\n',
        '    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())\n',
        "tests/secrets/test_layers.py",
    ),
)

_HTTP = _mutations(
    "reconciler/http/client.py",
    (
        "a command that only reads writes",
        "if self._read_only and method not in READING_METHODS:",
        "if False:",
        "tests/http/test_wire_http.py::test_a_read_only_client_cannot_write",
    ),
    (
        "a page of a proxy is an answer to a write",
        "if method not in READING_METHODS and outcome.is_page:",
        "if False:",
        "tests/http/test_wire_http.py::test_a_page_is_no_answer_to_a_write",
    ),
    (
        "an answer may be of any size",
        "if size > asked.max_bytes:",
        "if False:",
        "tests/http/test_wire_http.py::test_an_answer_beyond_the_limit_is_not_read_to_its_end",
    ),
    (
        "an answer that names another request is believed",
        "if Headers(answer.headers).get(names.asked_as, request_id) != request_id:",
        "if False:",
        "tests/http/test_wire_answers.py::test_an_answer_that_names_another_request_is_not_believed",
    ),
    (
        "a write leaves although the lock is lost",
        "if asked.method not in READING_METHODS and (why := self._halted()):",
        "if (why := '') :",
        "tests/http/test_wire_http.py::test_every_try_of_a_write_asks_whether_it_may_still_leave",
    ),
)

_TRIES = _mutations(
    "reconciler/http/tries.py",
    (
        "a POST is sent again",
        'RETRIED_METHODS = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})',
        'RETRIED_METHODS = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE", "POST"})',
        "tests/http/test_wire_http.py::test_a_post_is_never_repeated",
    ),
    (
        "a service decides how long a run sleeps",
        "return max(backoff_s, min(asked_s, RETRY_AFTER_MAX_S))",
        "return max(backoff_s, asked_s)",
        "tests/http/test_wire_http.py::test_retry_after_is_kept_within_reason",
    ),
)

_SERVERS = _mutations(
    "reconciler/http/servers.py",
    (
        "a server that answered in this run counts as dead",
        "if tries > 1 and not outcome.sent and not self.has_answered(server):",
        "if tries > 1 and not outcome.sent:",
        "tests/http/test_wire_http.py::test_a_dead_server_is_waited_for_once_and_the_error_says_how_long",
    ),
)

_ASKING = _mutations(
    "reconciler/http/asking.py",
    (
        "plain http leaves this machine",
        'if parts.scheme == "http" and not is_loopback(parts.hostname or ""):',
        "if False:",
        "tests/http/test_wire_http.py::test_a_url_that_is_not_plain_or_not_encrypted_is_refused",
    ),
)

_BOUNDS = _mutations(
    "reconciler/http/bounds.py",
    (
        "an interim answer is taken for the answer",
        "while 100 <= self.status < 200:",
        "while False:",
        "tests/http/test_wire_answers.py::test_interim_answers_are_skipped",
    ),
    (
        "what follows an answer is the answer to the next request",
        "if rest() or pending():",
        "if pending():",
        "tests/http/test_wire_answers.py::test_what_follows_an_answer_is_no_answer",
    ),
    (
        "what follows an answer within TLS is the answer to the next request",
        "if rest() or pending():",
        "if rest():",
        "tests/http/test_wire_answers.py::test_what_follows_an_answer_within_tls_is_no_answer",
    ),
    (
        "a packed answer that broke off is whole",
        'raise Unexpected("the packed answer broke off")',
        "pass",
        "tests/http/test_wire_answers.py::test_a_packed_body_that_is_not_whole_is_unreadable",
    ),
    (
        "an answer may have two lengths",
        'raise Unexpected("the answer has more than one length")',
        "pass",
        "tests/http/test_wire_answers.py::test_two_lengths_are_refused",
    ),
    (
        "an answer may take for ever",
        "self._until = time.monotonic() + self._timeout_s",
        "self._until = math.inf",
        "tests/http/test_wire_answers.py::test_an_answer_must_end_in_time",
    ),
    (
        "an answer may be packed as the service likes",
        'raise Unexpected("the answer has an encoding that was not asked for")',
        "pass",
        "tests/http/test_wire_answers.py::test_a_packing_that_was_not_asked_for_is_refused",
    ),
)

# --- proof ------------------------------------------------------------------------------------

_SWAPPING = _mutations(
    "reconciler/engine/swap.py",
    (
        "the word of the service is a proof",
        "if live.served == wanted and not live.undecided:",
        "if True:",
        "tests/studio/test_switches.py::test_a_success_that_changed_nothing_is_an_error_of_its_own",
    ),
    (
        "a model that fails at a share of the traffic gets more",
        "if why or health.code is not HealthCode.HEALTHY:",
        "if False:",
        "tests/azureml/test_endpoint.py::test_a_model_that_fails_at_a_share_loses_it",
    ),
    (
        "the answer of the model before proves a swap",
        "if (other or unchanged) and in_window:",
        "if False:",
        "tests/studio/test_way_back.py::test_the_first_model_of_all_can_be_rolled_back_to",
    ),
    (
        "a version whose proof failed is not rejected",
        'return wait(going, 0.0, "rolling back", back).after(reject)',
        'return wait(going, 0.0, "rolling back", back)',
        "tests/studio/test_swapping.py::test_a_version_whose_proof_failed_is_rejected_by_its_run",
    ),
    (
        "a swap is asked for before the way back is kept",
        "    return turn(state, At.RECORD, *accepted, keep)",
        "    write = Write(Verb.SWITCH, wanted_model(observed))\n"
        "    return turn(state, At.RECORD, *accepted, write, keep)",
        "tests/studio/test_swapping.py::test_a_swap_is_asked_for_only_when_the_way_back_is_kept",
    ),
    (
        "a swap that failed is not rolled back",
        "    going = replace(state.without_swap(), disproved=disproved)\n",
        "    return fail(state, why, UNPROVED, proof).after(reject)\n",
        "tests/studio/test_way_back.py::test_a_failed_proof_is_rolled_back_proved_and_rejected",
    ),
)

_CANDIDATE = _mutations(
    "reconciler/engine/candidate.py",
    (
        "a staged candidate gets traffic before it was asked",
        "        return _ask_candidate(state, observed, now)\n",
        "        return ask_before(state, observed, now)\n",
        "tests/azureml/test_endpoint.py::test_a_candidate_that_fails_its_probe_never_gets_traffic",
    ),
)

_VERIFY = _mutations(
    "reconciler/verify.py",
    (
        "an answer without rows is healthy",
        "if not score.rows:",
        "if False:",
        "tests/test_verify.py::test_an_answer_without_rows_is_degraded",
    ),
    (
        "an answer with empty cells is healthy",
        "if any(cell in EMPTY for column in cells.values() for cell in column):",
        "if False:",
        "tests/test_verify.py::test_an_empty_cell_of_a_declared_column_is_degraded",
    ),
    (
        "any answer is as expected",
        "if wrong := _wrong(expected, cells[expected.column]):",
        'if wrong := "":',
        "tests/test_verify.py::test_an_answer_that_is_not_as_expected_is_degraded_and_says_where",
    ),
    (
        "what is no number is in every range",
        "return math.nan",
        "return math.inf",
        "tests/test_verify.py::test_what_is_no_number_is_in_no_range",
    ),
)

_PROVE = _mutations(
    "reconciler/engine/prove.py",
    (
        "verify is content with any model",
        "if live.served != wanted or live.undecided:",
        "if False:",
        "tests/studio/test_convergence.py::test_the_proof_on_demand_holds_after_and_not_before",
    ),
)

# --- where secrets may go -----------------------------------------------------------------------

_URLS = _mutations(
    "reconciler/http/urls.py",
    (
        "URLs that two parsers read differently are URLs",
        'if not url.isprintable() or "\\\\" in url or " " in url:',
        "if False:",
        "tests/http/test_wire_http.py::test_a_url_that_is_not_plain_or_not_encrypted_is_refused",
    ),
    (
        "an id of a service is a path to anywhere",
        "if not _ID.fullmatch(ident):",
        "if False:",
        "tests/studio/test_bes.py::test_what_is_no_id_of_a_job_never_becomes_a_part_of_a_path",
    ),
    (
        "a name of a service is a path to anywhere",
        'if name in ("", ".", ".."):',
        "if False:",
        "tests/studio/test_classic.py::test_an_endpoint_whose_name_would_be_another_path_is_never_asked_for",
    ),
)

_ORIGINS = _mutations(
    "reconciler/http/origins.py",
    (
        "a secret goes to any host whose name begins right",
        "self.hosts.fullmatch(host) is not None",
        "self.hosts.match(host) is not None",
        "tests/studio/test_hosts.py::test_a_secret_goes_nowhere_else",
    ),
    (
        "a secret goes by plain http, or to any port",
        '((scheme, port) == ("https", 443) and at_home)',
        "at_home",
        "tests/studio/test_hosts.py::test_a_secret_goes_nowhere_else",
    ),
    (
        "the token of the emulator goes anywhere",
        "return there in self.exact or (",
        "return bool(self.exact) or (",
        "tests/studio/test_hosts.py::test_on_the_emulator_secrets_stay_on_its_port",
    ),
    (
        "RECONCILER_ORIGINS sends a secret through the net unencrypted",
        'if parts.scheme != "https" and not is_loopback(there[1]):',
        "if False:",
        "tests/http/test_origins.py::test_a_listed_origin_is_https_or_this_machine",
    ),
)

_STUDIO_HOSTS = _mutations(
    "reconciler/platforms/studio/hosts.py",
    (
        "a key for scoring goes to any host whose name ends right",
        r"(?:[a-z0-9-]+\.)+services\.azureml\.net",
        r".*services\.azureml\.net",
        "tests/studio/test_hosts.py::test_a_secret_goes_nowhere_else",
    ),
)

_AUTHORITIES = _mutations(
    "reconciler/platforms/azure.py",
    (
        "a client secret goes to any authority",
        "public = host == AUTHORITY or host.endswith(_REGIONAL_AUTHORITY)",
        "public = True",
        "tests/http/test_wire_identity.py::test_an_authority_that_is_not_azures_is_refused",
    ),
)

_ACTIONS_HOSTS = _mutations(
    "reconciler/platforms/actions_token.py",
    (
        "the token of a job goes to any port of a host of GitHub's",
        'if scheme == "https" and host.endswith(_ACTIONS_SUFFIX) and port == 443:',
        'if scheme == "https" and host.endswith(_ACTIONS_SUFFIX):',
        "tests/http/test_wire_identity.py::test_the_jobs_token_goes_only_to_github",
    ),
)

_STRICT_JSON = _mutations(
    "reconciler/strict_json.py",
    (
        "JSON holds numbers that cannot be written again",
        'raise ValueError(f"{written[:40]} is too large a number")',
        "pass",
        "tests/http/test_wire_http.py::test_what_is_not_json_is_unreadable",
    ),
)

_CREDENTIALS = _mutations(
    "reconciler/http/credentials.py",
    (
        "a key or workspace token goes to any host",
        "self.origins.check(url)",
        "pass",
        "tests/http/test_wire_credentials.py::test_a_bearer_gives_its_token_only_to_hosts_of_its_role",
    ),
    (
        "an access token goes to any host",
        "self._origins.check(url)",
        "pass",
        "tests/http/test_wire_credentials.py::test_another_host_gets_no_token_and_nobody_signs_in",
    ),
    (
        "a key that a service hands out is not known for a secret",
        "remember_secret(self.secret)",
        "pass",
        "tests/secrets/test_layers.py",
    ),
    (
        "a secret of the environment is not known for one",
        "remember_secret(environ[name.variable])",
        "pass",
        "tests/http/test_wire_credentials.py::test_a_secret_is_hidden_from_the_moment_it_is_known",
    ),
)

_GITHUB = _mutations(
    "reconciler/ci/github.py",
    (
        "the token of GitHub goes to any host",
        "if origin(url) != origin(self.api):",
        "if False:",
        "tests/ci/test_comment.py::test_the_token_goes_nowhere_but_to_the_api",
    ),
)

_GITHUB_TOKEN = _mutations(
    "reconciler/ci/connection.py",
    (
        "the token of GitHub is not known for a secret",
        "remember_secret(token)",
        "pass",
        "tests/secrets/test_layers.py",
    ),
)

# --- redaction, layer by layer ------------------------------------------------------------------

_ERRORS = _mutations(
    "reconciler/errors.py",
    (
        "an error holds secrets",
        "super().__init__(redact(message))",
        "super().__init__(message)",
        "tests/secrets/test_layers.py",
    ),
    (
        "a problem of the desired state holds secrets",
        "return redact(self.text)",
        "return self.text",
        "tests/secrets/test_layers.py",
    ),
)

_SECRECY = _mutations(
    "reconciler/secrecy.py",
    (
        "a known secret is hidden only as it stands",
        "if _parts or _ESCAPE.search(text):",
        "if False:",
        "tests/secrets/test_spellings.py::test_a_secret_is_hidden_in_every_spelling",
    ),
    (
        "half of a key is shown",
        "_parts[part] = (key, at)",
        "pass",
        "tests/secrets/test_spellings.py::test_a_key_that_was_cut_is_hidden",
    ),
    (
        "the signature of an operation is shown",
        "([?&][csh]=)",
        "([?&]no=)",
        "tests/secrets/test_azureml_canaries.py::test_a_traceback_holds_no_key_and_no_signed_address",
    ),
    (
        "a plain password in a definition passes",
        "return _HOLDER.search(letters) is not None",
        "return False",
        "tests/desired/test_definitions.py::test_a_plain_value_of_what_is_called_a_secret_is_refused_and_not_printed",
    ),
    (
        "a secret in the desired state passes",
        "return _may_hold_one(text) and _WRITTEN.search(text) is not None",
        "return False",
        "tests/desired/test_secrets.py",
    ),
)

_OUTPUT = _mutations(
    "reconciler/cli/output.py",
    (
        "documents hold secrets",
        'write(redact(text).rstrip("\\n") + "\\n")',
        'write(text.rstrip("\\n") + "\\n")',
        "tests/secrets/test_layers.py",
    ),
    (
        "the log holds secrets",
        "return redact(super().format(record))",
        "return super().format(record)",
        "tests/secrets/test_layers.py",
    ),
)

_CONSOLE = _mutations(
    "reconciler/console.py",
    (
        "what is said holds secrets",
        "sys.stderr.write(redact(text) + end)",
        "sys.stderr.write(text + end)",
        "tests/secrets/test_layers.py",
    ),
    (
        "half a file can be read",
        "_replace(path.resolve(), data, mode)  # where a link leads to, not the link",
        "path.write_bytes(data)",
        "tests/cli/test_files.py",
    ),
    (
        "what a service says is a command to the runner",
        "            text = disarmed(text)\n",
        "",
        "tests/cli/test_actions.py::test_no_text_of_a_service_is_a_command",
    ),
    (
        "what is hidden in a text is obeyed by the terminal",
        "self.write_clean(text if _PLAIN.match(text) else _with_hidden_shown(text))",
        "self.write_clean(text)",
        "tests/cli/test_streams.py::test_what_a_service_is_called_reaches_no_terminal",
    ),
    (
        "JSON and Markdown hold secrets",
        "sys.stdout.write(redact(text))",
        "sys.stdout.write(text)",
        "tests/secrets/test_layers.py",
    ),
)

_ENDING = _mutations(
    "reconciler/cli/ending.py",
    (
        "the file of --report holds secrets",
        "return redact(json_document(document))",
        "return json_document(document)",
        "tests/secrets/test_layers.py",
    ),
)

_MAIN = _mutations(
    "reconciler/cli/failures.py",
    (
        "a traceback of a bug holds secrets",
        'trace = redact("".join(traceback.format_exception(exc)))',
        'trace = "".join(traceback.format_exception(exc))',
        "tests/secrets/test_layers.py",
    ),
)

_EXPORTS = _mutations(
    "reconciler/offline/exports.py",
    (
        "what an endpoint calls a version is not asked of its export",
        'getattr(module, "ref_from_export", lambda *_: None)',
        "lambda *_: None",
        "tests/azureml/test_offline.py::test_a_plan_from_exports_needs_no_workspace_and_no_secret",
    ),
)

_REDACTION = _mutations(
    "reconciler/offline/redaction.py",
    (
        "a snapshot holds secrets of definitions",
        "return HIDDEN if value else value",
        "return value",
        "tests/http/test_wire_redaction.py::test_no_secret_is_kept_and_every_name_is",
    ),
    (
        "a snapshot holds what endpoints answered",
        'record |= {"before": None, "history": [_kept_event(event) for event in events]}',
        "pass",
        "tests/http/test_wire_redaction.py::test_of_a_record_neither_answers_nor_reasons_are_kept",
    ),
)

# --- snapshots --------------------------------------------------------------------------------

_RECORDED = _mutations(
    "reconciler/offline/stores.py",
    (
        "a list that was not heard to its end is believed",
        "for listed in super().list(prefix):",
        "for listed in (self._kept.listed.add(prefix), *super().list(prefix))[1:]:",
        "tests/stores/test_remembered.py",
    ),
    (
        "a file that no list would show is absent",
        "if known is None and name not in self._kept.absent and not self._kept.was_listed(name):",
        "if False:",
        "tests/stores/test_remembered.py",
    ),
)

_RECORDED_LAYERS = _mutations(
    "reconciler/offline/snapshot_file.py",
    (
        "a snapshot holds secrets",
        'return redact(json_document({"schema": SCHEMA, **_CODEC.unstructure(taken)}, indent=1))',
        'return json_document({"schema": SCHEMA, **_CODEC.unstructure(taken)}, indent=1)',
        "tests/secrets/test_layers.py",
    ),
)

_SNAPSHOT = _mutations(
    "reconciler/cli/snapshot.py",
    (
        "a snapshot of another place is planned against",
        "_check_place(recorded, desired.environment)",
        "pass",
        "tests/cli/test_snapshot.py::test_a_damaged_or_foreign_snapshot_is_refused_with_its_place",
    ),
    (
        "a snapshot is of use for ever",
        "if age_s > max_age_s:",
        "if False:",
        "tests/cli/test_snapshot.py::test_an_old_snapshot_is_refused_with_its_age_and_the_fix",
    ),
)

# --- what people and runners read ---------------------------------------------------------------

_OUTPUTS = _mutations(
    "reconciler/ci/outputs.py",
    (
        "the delimiter of an output can be guessed",
        'delimiter = f"reconciler_{secrets.token_hex(16)}"',
        'delimiter = "reconciler_0"',
        "tests/cli/test_actions.py::test_the_end_of_an_output_cannot_be_guessed",
    ),
    (
        "outputs hold secrets",
        "{redact(value)}",
        "{value}",
        "tests/secrets/test_layers.py",
    ),
)

_TREE = _mutations(
    "reconciler/desired/tree.py",
    (
        "a reviewer reads another text than the program",
        "match = _FORBIDDEN.search(text) if _SUSPECT.search(text) else None",
        "match = None",
        "tests/desired/test_strict_yaml.py",
    ),
)

_MARKDOWN = _mutations(
    "reconciler/render/markdown.py",
    (
        "GitHub replaces emoji and commits in texts of others",
        'return _SUBSTITUTED.sub(lambda match: f"{match[0]}\\u200b", visible(text).strip())',
        "return visible(text).strip()",
        "tests/render/test_comment.py::test_github_replaces_nothing_in_text_of_others",
    ),
)

_CELLS = _mutations(
    "reconciler/render/cells.py",
    (
        "a name turns a line around",
        "    return unicodedata.category(char) in _HIDDEN\n",
        "    return False\n",
        "tests/render/test_golden.py",
    ),
)

# --- applications of Ray --------------------------------------------------------------------------

_RAY_LIVE = _mutations(
    "reconciler/platforms/ray/serve_live.py",
    (
        "Ray: what is configured counts as served",
        "    if seen.config is None or seen.status in (Status.RUNNING, Status.UNHEALTHY):\n",
        "    if True:\n",
        "tests/ray/test_serve_live.py",
    ),
    (
        "Ray: an application of another environment is changed",
        "    if other and other != mark:\n",
        "    if False:\n",
        "tests/ray/test_serve_live.py",
    ),
    (
        "Ray: a configuration that others replaced counts as ours",
        "    if fingerprint(seen.config) != declared:\n",
        "    if False:\n",
        "tests/ray/test_serve_live.py",
    ),
)
_RAY_WRITES = _mutations(
    "reconciler/platforms/ray/coalesce.py",
    (
        "Ray: an empty answer is believed while Serve runs",
        "        if not reading.started and _has_controller(client):\n",
        "        if False:\n",
        "tests/ray/test_serve_application.py::test_an_empty_answer_of_a_dashboard_that_cannot_ask_is_unknown",
    ),
    (
        "Ray: an empty list is believed at the first look",
        "        if reading.started and not self._empty:\n",
        "        if False:\n",
        "tests/ray/test_serve_application.py::test_a_list_that_is_empty_while_another_client_starts_serve_is_read_again",
    ),
    (
        "Ray: what the dashboard hides is sent back",
        "        if seen.config is not None and hides(seen.config):\n",
        "        if False:\n",
        "tests/ray/test_serve_application.py::test_what_ray_does_not_show_is_not_sent_back",
    ),
    (
        "Ray: a change that another writer replaced counts as made",
        "        _answer(there, after)\n",
        "        _answer(asked, after)\n",
        "tests/ray/test_serve_application.py::test_a_change_that_another_writer_replaced_is_written_again",
    ),
    (
        "Ray: a cluster that changed while edits were made is written over",
        "        if _configs(self._readings(), client.ray.host) != before:\n",
        "        if False:\n",
        "tests/ray/test_serve_application.py::test_a_cluster_that_changes_while_edits_are_made_is_read_again",
    ),
    (
        "Ray: an application is declared on a cluster that has forgotten its code",
        "            if change.session != session:\n",
        "            if False:\n",
        "tests/ray/test_serve_application.py::test_a_cluster_that_restarts_during_a_write_gets_no_application_without_its_code",
    ),
    (
        "Ray: a change that another writer undid later stays undone",
        "        if made.again >= MOST_WRITES or not made.is_undone(seen):\n",
        "        if True:\n",
        "tests/ray/test_serve_application.py::test_a_swap_and_a_deletion_that_are_undone_are_made_again",
    ),
)
_RAY_BUILDER = _mutations(
    "reconciler/platforms/ray/builder.py",
    (
        "Ray: a replica serves a file with another hash",
        "    if found != sha256:\n",
        "    if False:\n",
        "tests/ray/test_builder.py",
    ),
)

_RAY = [
    *_mutations(
        "reconciler/platforms/ray/jobs.py",
        (
            "a job is submitted again whose answer was lost",
            "            if self._asked(client, job) is None:\n                raise\n",
            "            raise\n",
            "tests/ray/test_jobs.py::test_a_submit_whose_answer_is_lost_is_adopted",
        ),
        (
            "an attempt that was given up runs on beside the next",
            "        if order.attempt > 1:\n",
            "        if order.attempt > 100:\n",
            "tests/ray/test_jobs.py::test_the_next_attempt_stops_the_one_before_where_that_still_runs",
        ),
        (
            "a job is lost because another cluster answers",
            "            self._cluster.reading_again()  # or it is missing because the cluster is another one\n",
            "",
            "tests/ray/test_jobs.py::test_a_job_is_lost_with_its_cluster_only_once_that_is_said_to_be_meant",
        ),
    ),
    *_mutations(
        "reconciler/platforms/ray/client.py",
        (
            "any 404 means that Ray has no such job",
            "        if absent in answer.body:\n",
            "        if True:\n",
            "tests/ray/test_cluster.py::test_a_404_of_a_proxy_is_not_the_absence_of_a_job",
        ),
    ),
    *_mutations(
        "reconciler/platforms/ray/runner.py",
        (
            "an attempt that was given up writes over the next one",
            "        _check_current(order)\n        for temporary",
            "        for temporary",
            "tests/ray/test_runner.py::test_an_attempt_that_was_given_up_keeps_nothing",
        ),
        (
            "an attempt that was given up writes over the next one between look and write",
            "            store.put(name, made, mode=seen_as)\n",
            "            store.put(name, made)\n",
            "tests/ray/test_runner.py::test_an_attempt_that_is_given_up_while_it_writes_to_a_bucket_keeps_nothing",
        ),
        (
            "an attempt that was given up writes without the lock of the store",
            '        fcntl.flock(stack.enter_context(lock.open("ab")), fcntl.LOCK_EX)\n        _check_current(order)\n',
            '        _check_current(order)\n        fcntl.flock(stack.enter_context(lock.open("ab")), fcntl.LOCK_EX)\n',
            "tests/ray/test_runner.py::test_an_attempt_that_is_given_up_while_it_waits_for_the_store_keeps_nothing",
        ),
    ),
]


# --- MLflow -----------------------------------------------------------------------------------

_MLFLOW_PUBLISHING = _mutations(
    "reconciler/platforms/mlflow/publishing.py",
    (
        "shards publish a version at a time",
        '        with self._turn(f"publishing {folder} to {name} of {self._mlflow.url}") as check:\n            if versions := self._mlflow.versions(name, tags):\n                return versions[-1].number\n            return self._publish(name, model, file, tags, check)\n',
        "        return self._publish(name, model, file, tags, lambda: None)\n",
        "tests/mlflow/test_alias.py::test_who_publishes_one_version_at_a_time_makes_one",
    ),
)


# --- what a person begins with -----------------------------------------------------------------

_BEGIN = [
    *_mutations(
        "reconciler/cli/editing.py",
        (
            "init and import write over files that are there",
            'path.open("xb")',
            'path.open("wb")',
            "tests/cli/test_init.py::test_what_exists_is_left_and_said",
        ),
    ),
    *_mutations(
        "reconciler/cli/begin.py",
        (
            "init leaves files beside which nothing is valid",
            "        made.undo()\n",
            "",
            "tests/cli/test_init.py::test_nothing_is_left_where_the_whole_would_not_be_valid",
        ),
    ),
    *_mutations(
        "reconciler/platforms/mlflow/alias.py",
        (
            "import takes what another environment owns",
            "if at.id in declared or _owner(registered, at).environment:",
            "if at.id in declared:",
            "tests/mlflow/test_import.py::test_what_another_environment_owns_is_not_imported",
        ),
    ),
    *_mutations(
        "reconciler/cli/importing.py",
        (
            "import leaves an endpoint to the next apply",
            '"model": version, "paused": True}',
            '"model": version}',
            "tests/ray/test_import.py::test_applications_are_imported_as_one_fleet_without_a_secret",
        ),
        (
            "a secret in one setting leaves out the whole endpoint",
            "    if not settings or not why_not(settings):\n",
            "    if True:\n",
            "tests/azureml/test_import.py"
            "::test_settings_are_imported_where_they_differ_from_the_defaults",
        ),
    ),
    *_mutations(
        "reconciler/cli/accepting.py",
        (
            "what is accepted may change something else",
            "        if not (others := _changed_beside(whole, after, accepted)):\n",
            "        if not (others := []):\n",
            "tests/ray/test_import.py::test_a_cell_that_means_more_than_what_drifted_is_not_accepted",
        ),
    ),
    *_mutations(
        "reconciler/engine/checkup.py",
        (
            "doctor asks no probe",
            "        and asks(world.targets[observation.binding.kind], observation.binding)\n",
            "        and False\n",
            "tests/cli/test_doctor.py::test_a_probe_that_no_proof_could_pass_is_found_before_any_training",
        ),
    ),
]


_AZUREML = [
    *_mutations(
        "reconciler/platforms/azureml/endpoint_state.py",
        (
            "a rotated secret is taken for the one that serves",
            "if self.is_ours(n) and self._has(n, values)]",
            "if self.is_ours(n)]",
            "tests/azureml/test_variables.py::test_a_variable_with_another_value_is_a_new_deployment_which_is_staged_and_proved",
        ),
        (
            "a mirror of another shape is found by the write",
            'for name in ("traffic", "mirrorTraffic"):\n            shares',
            'for name in ("traffic",):\n            shares',
            "tests/azureml/test_mirror.py::test_a_mirror_of_another_shape_is_refused_by_the_plan",
        ),
        (
            "traffic that does not add up is no reason to refuse",
            "(total := sum(reading.traffic.values())) not in (0, 100)",
            "(total := 0)",
            "tests/azureml/test_endpoint.py::test_an_endpoint_that_cannot_be_ours_is_refused",
        ),
        (
            "an endpoint of another region is ours",
            "if reading.at.region and region and region != reading.at.region:",
            "if False:",
            "tests/azureml/test_endpoint.py::test_an_endpoint_of_another_region_is_refused",
        ),
    ),
    *_mutations(
        "reconciler/platforms/azureml/mirror.py",
        (
            "copies that fail stop no candidate",
            "if over and (ends or count >= _ENOUGH):",
            "if False:",
            "tests/azureml/test_mirror.py::test_a_candidate_whose_copies_fail_is_stopped_and_never_gets_traffic",
        ),
        (
            "a mirror that somebody switched off is waited for",
            "if share != mirror.share or name != copy.name:",
            "if False:",
            "tests/azureml/test_mirror.py::test_a_mirror_that_somebody_switched_off_is_no_fault_of_the_version",
        ),
        (
            "who may not read metrics hears it once traffic is mirrored",
            "        self._counted(copy, self._now() - 2 * _MINUTE_S)\n",
            "",
            "tests/azureml/test_mirror.py::test_who_may_not_read_metrics_changes_nothing",
        ),
    ),
    *_mutations(
        "reconciler/engine/machine.py",
        (
            "old state is waited out from the request on, not from its end",
            "        ended = replace(ended, swap=replace(ended.swap, asked_at=now))\n",
            "        pass\n",
            "tests/azureml/test_mirror.py::test_runs_that_are_killed_anywhere_leave_no_mirror",
        ),
    ),
    *_mutations(
        "reconciler/offline/redaction.py",
        (
            "a snapshot holds the variables of deployments",
            "by_name or of_all)",
            "by_name)",
            "tests/azureml/test_variables.py::test_a_snapshot_holds_no_variable_and_finds_no_drift_in_one",
        ),
    ),
    *_mutations(
        "reconciler/platforms/azureml/endpoint.py",
        (
            "traffic that somebody moved meanwhile is overwritten",
            "if before is not None and before.traffic != reading.traffic:",
            "if False:",
            "tests/azureml/test_endpoint.py::test_traffic_that_somebody_moved_meanwhile_is_not_overwritten",
        ),
        (
            "traffic is written over what was read long before",
            '        reading = self._reads.reading(binding.address)\n        if reading is None:\n            raise RefusedError(f"{binding.address} is gone;',
            '        reading = before or self._reads.reading(binding.address)\n        if reading is None:\n            raise RefusedError(f"{binding.address} is gone;',
            "tests/azureml/test_endpoint.py::test_traffic_that_somebody_moved_meanwhile_is_not_overwritten",
        ),
        (
            "the way back from new settings may lead to them again",
            "if model.version is None or self.is_one_model(ref, self._wanted(binding)):",
            "if model.version is None:",
            "tests/azureml/test_variables.py::test_of_several_deployments_of_a_version_the_one_that_was_proved_last_gets_the_traffic_back",
        ),
        (
            "an endpoint of another environment is deleted",
            "        if not reading.owner.is_of(self._mark):",
            "        if False:",
            "tests/azureml/test_endpoint.py::test_an_endpoint_of_another_environment_is_refused",
        ),
        (
            "an endpoint with a deployment of others is deleted",
            "if foreign := [n for n in reading.deployments if not reading.is_ours(n)]:",
            "if foreign := []:",
            "tests/azureml/test_endpoint.py::test_an_endpoint_with_a_deployment_of_others_is_not_deleted",
        ),
    ),
    *_mutations(
        "reconciler/platforms/arm.py",
        (
            "a token goes wherever an operation is said to be",
            "if url not in origins:",
            "if False:",
            "tests/azureml/test_endpoint.py::test_an_operation_elsewhere_gets_no_token",
        ),
    ),
    *_mutations(
        "reconciler/platforms/azureml/workspace.py",
        (
            "any 404 says that a resource is not there",
            "if missing.code.casefold() not in ABSENT:",
            "if False:",
            "tests/azureml/test_shared.py::test_only_its_own_word_says_that_there_is_no_registry",
        ),
    ),
    *_mutations(
        "reconciler/platforms/azureml/shared.py",
        (
            "a token goes wherever a registry is said to be",
            r'r"[a-z0-9]+\.api\.azureml\.ms|cert-[a-z0-9]+\.experiments\.azureml\.net"',
            'r".*"',
            "tests/azureml/test_shared.py::test_a_registry_that_is_said_to_be_elsewhere_gets_no_token",
        ),
        (
            "a signature that opens no container of Azure is used",
            "if hosts.of(account) != base or not below:",
            "if False:",
            "tests/azureml/test_shared.py::test_a_signature_for_anything_but_a_container_of_azure_is_not_used",
        ),
    ),
    *_mutations(
        "reconciler/platforms/azureml/assets.py",
        (
            "a file that is gone is taken as an empty one",
            "if store.fetch(files[name], into) is None:",
            "if store.fetch(files[name], into) == 0:",
            "tests/azureml/test_jobs.py::test_a_file_that_goes_while_it_is_taken_is_not_taken_as_empty",
        ),
    ),
    *_mutations(
        "reconciler/platforms/azureml/pipelines.py",
        (
            "a pipeline is run without what it needs",
            'if why := "; ".join(_problems(spec, recipe)):',
            'if why := "":',
            "tests/azureml/test_trained.py::test_a_pipeline_that_does_not_fit_is_refused_before_it_is_started",
        ),
        (
            "steps of a pipeline that are not run count as done",
            '"force_rerun": True',
            '"force_rerun": False',
            "tests/azureml/test_trained.py::test_a_pipeline_of_the_workspace_makes_a_version_once",
        ),
    ),
    *_mutations(
        "reconciler/platforms/azureml/endpoint_reads.py",
        (
            "an endpoint is missing though the list shows it",
            "if endpoint is None and at.name.lower() in (self._listed or self.endpoints)():",
            "if False:",
            "tests/azureml/test_endpoint.py::test_a_404_that_the_list_contradicts_is_no_missing_endpoint",
        ),
    ),
    *_mutations(
        "reconciler/engine/train.py",
        (
            "the outputs that a job left elsewhere are not collected",
            "if trainer.collects:",
            "if False:",
            "tests/azureml/test_trained.py::test_a_job_of_the_workspace_trains_for_a_store_that_it_cannot_reach",
        ),
    ),
    *_mutations(
        "reconciler/platforms/azureml/jobs.py",
        (
            "a job that left no model counts as one that did",
            "if not files or (role == METRICS and len(files) > 1):",
            "if False:",
            "tests/azureml/test_jobs.py::test_where_the_workspace_cannot_write_into_the_store_a_job_writes_below_its_own_id",
        ),
        (
            "a start does not look whether the job is there",
            "        if self._found(job, what) is not None:\n            return\n",
            "",
            "tests/azureml/test_jobs.py::test_a_job_is_started_once_whatever_a_second_put_would_do",
        ),
    ),
]

_SIGHTINGS = _mutations(
    "reconciler/model/plan.py",
    (
        "an old sighting is told of a drift that came after it was undone",
        "return self.deed == deed and not now.isdisjoint(self.fields)",
        "return not now.isdisjoint(self.fields)",
        "tests/stores/test_sightings.py::test_a_sighting_lasts_as_long_as_its_drift",
    ),
)

MUTATIONS: tuple[Mutation, ...] = (
    *_SIGHTINGS,
    *_COMPOSE,
    *_STOPPING,
    *_CELLS,
    *_RAY,
    *_MARKDOWN,
    *_TREE,
    *_RECORDED_LAYERS,
    *_RECORD,
    *_MANIFEST,
    *_MEMBERS,
    *(
        *_ALONE,
        *_LOCK,
        *_ALIVE,
        *_BLOB,
        *_SAS,
        *_LISTS,
        *_NAMES,
        *_READING,
        *_LEDGER,
        *_TRAIN,
        *_OBSERVE,
        *_GATES,
        *_PLAN,
    ),
    *(
        *_REFERENCES,
        *_STEPS,
        *_PARTS,
        *_RUN,
        *_WAVES,
        *_LIMITS,
        *_APPROVAL,
        *_APPROVED,
        *_COVERED,
        *_ARTIFACTS,
    ),
    *(*_WEB_SERVICE, *_STATE, *_CLASSIC, *_CLASSIC_STATE, *_NOT_DECLARED, *_ARM_LIST, *_OPERATION),
    *(
        *_RESPONSE,
        *_HTTP,
        *_TRIES,
        *_SERVERS,
        *_ASKING,
        *_BOUNDS,
        *_CANDIDATE,
        *_SWAPPING,
        *_VERIFY,
        *_PROVE,
    ),
    *(*_STRICT_JSON, *_URLS, *_ORIGINS, *_STUDIO_HOSTS, *_AUTHORITIES, *_ACTIONS_HOSTS),
    *(*_CREDENTIALS, *_GITHUB, *_GITHUB_TOKEN),
    *(
        *_ERRORS,
        *_SECRECY,
        *_OUTPUT,
        *_CONSOLE,
        *_ENDING,
        *_MAIN,
        *_EXPORTS,
        *_REDACTION,
        *_RECORDED,
        *_SNAPSHOT,
    ),
    *_OUTPUTS,
    *_BEGIN,
    *(*_RAY_LIVE, *_RAY_WRITES, *_RAY_BUILDER, *_MLFLOW_PUBLISHING, *_AZUREML),
)
