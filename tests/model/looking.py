"""Rules and invariants that only look: what the server tells must be what the model says."""

from __future__ import annotations

import tus
from harness import eventually
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from reference import STATUS, Item
from world import ANY, PICK, Asking, has_items


class Looking(Asking):
    """HEAD, GET, progress, listings, and the questions of a stranger."""

    @invariant()
    def finals_whose_parts_are_whole_are_joined(self) -> None:
        """In the background, and soon."""
        for item in self.model.items:
            if item.kind == "final" and item.state == "completed" and item.id not in self.joined:
                eventually(lambda item=item: self.tus(item, "HEAD").header("upload-offset"))
                self.joined.add(item.id)

    @invariant()
    def the_upload_that_was_asked_about_is_as_the_model_has_it(self) -> None:
        if self.touched is not None:
            self.look(self.touched)
            self.touched = None

    def look(self, item: Item) -> None:
        answer = self.tus(item, "HEAD")
        assert answer.status == self.model.head(item)[0], (answer, item)
        if answer.status != 200:
            return
        if item.state == "waiting":
            assert answer.header("upload-offset") is None
        else:
            assert answer.number("upload-offset") == item.offset
        if item.declared:
            assert answer.number("upload-length") == len(item.data)
        if item.file is not None:
            self.read(item)

    def read(self, item: Item) -> None:
        assert self.tus(item, "GET").body == item.data
        if len(item.data) > 10:
            part = self.tus(item, "GET", ("Range", f"bytes=7-{len(item.data) // 2}"))
            assert (part.status, part.body) == (206, item.data[7 : len(item.data) // 2 + 1])

    @precondition(has_items)
    @rule(number=PICK)
    def look_at_progress(self, number: int) -> None:
        if (item := self.pick(number)) is not None:
            self.compare_progress(item)

    @rule(who=ANY, status=st.sampled_from(["", *sorted(set(STATUS.values()))]))
    def list_tasks(self, who: bool, status: str) -> None:
        account = self.names[who]
        query = f"?status={status}&limit=200" if status else "?limit=200"
        answer = self.ask(account, "GET", f"{self.server.api}/files/upload/tasks{query}")
        own = [item for item in self.model.items if item.account == account and item.kind != "partial"]
        expected = sorted(item.id for item in own if status in ("", STATUS[item.state]))
        assert sorted(task["taskId"] for task in answer.json()) == expected
        assert answer.number("x-total") == len(expected)

    @rule(who=ANY)
    def list_files(self, who: bool) -> None:
        self.learn()
        account = self.names[who]
        answer = self.ask(account, "GET", f"{self.server.api}/files/me?limit=200")
        own = [file for file in self.model.files if file.account == account and not file.deleted]
        assert sorted((file["id"], file["name"]) for file in answer.json()) == sorted(
            (file.id, file.name) for file in own
        )
        assert answer.number("x-total") == len(own)

    @precondition(has_items)
    @rule(number=PICK, method=st.sampled_from(["HEAD", "GET", "PATCH", "DELETE", "progress", "complete", "task"]))
    def ask_for_somebody_elses(self, number: int, method: str) -> None:
        if (item := self.pick(number)) is None:
            return
        stranger = next(name for name in self.names if name != item.account)
        if method.isupper():
            headers = (tus.VERSION, tus.BODY, ("Upload-Offset", item.offset))
            answer = self.ask(stranger, method, item.at.partition("?")[0], headers)
        else:
            verb = {"progress": "GET", "complete": "POST", "task": "DELETE"}[method]
            answer = self.ask(stranger, verb, f"{self.server.api}/files/upload/{method}/{item.id}")
        assert answer.status == 404
        self.touched = item

    def teardown(self) -> None:
        for item in list(self.model.items):
            self.look(item)
        for file in self.model.files:
            if file.id and not file.deleted:
                answer = self.ask(file.account, "GET", f"{self.server.api}/files/{file.id}")
                assert (answer.status, answer.body) == (200, file.data)
