"""Rules that end things: completion, cancellation, deletion, days that go by, and a server that dies."""

from __future__ import annotations

import json

from harness import eventually
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from reference import OK, sha256
from world import ANY, PICK, Asking, agree, has_files, has_items, said


class Ending(Asking):
    """Endings of uploads, of files, of days and of the process."""

    @precondition(has_items)
    @rule(number=PICK, corrected=st.sampled_from([False, False, True]))
    def complete(self, number: int, corrected: bool) -> None:
        if (item := self.pick(number)) is None:
            return
        body = json.dumps({"hash": sha256(item.data)}).encode() if corrected else b""
        missing = item.missing()
        answer = self.rest(item, "POST", "complete", "", body, "application/json" if body else "")
        expected = self.model.complete(item, corrected)
        agree(answer, expected, item)
        if expected[1] == "CHUNKS_MISSING" and item.declared:
            assert answer.json()["details"]["missingChunks"] == missing
        if answer.status == 200 and item.file is not None:
            assert item.file.id in ("", answer.json()["id"])
            item.file.id = str(answer.json()["id"])
            assert (answer.json()["size"], answer.json()["accountId"]) == (len(item.data), item.account)

    @precondition(has_items)
    @rule(number=PICK, often=st.integers(0, 2))
    def remove(self, number: int, often: int) -> None:
        if not often and (item := self.pick(number)) is not None:
            agree(self.tus(item, "DELETE"), self.model.remove(item), item)

    @precondition(has_items)
    @rule(number=PICK, often=st.integers(0, 2))
    def cancel(self, number: int, often: int) -> None:
        if not often and (item := self.pick(number)) is not None:
            agree(self.rest(item, "DELETE", "task"), self.model.cancel(item), item)

    @precondition(has_files)
    @rule(number=PICK)
    def delete_file(self, number: int) -> None:
        self.learn()
        files = [file for file in self.model.files if file.id]
        if files:
            file = files[number % len(files)]
            answer = self.ask(file.account, "DELETE", f"{self.server.api}/files/{file.id}")
            agree(answer, self.model.delete_file(file))

    @precondition(has_files)
    @rule(number=PICK, name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
    def rename_file(self, number: int, name: str) -> None:
        self.learn()
        files = [file for file in self.model.files if file.id]
        if files:
            file = files[number % len(files)]
            path = f"{self.server.api}/files/{file.id}/name"
            headers = (("Content-Type", "application/json"),)
            answer = self.ask(file.account, "PATCH", path, headers, json.dumps(name).encode())
            agree(answer, (410, "GONE") if file.deleted else OK)
            file.name = file.name if file.deleted else name

    @rule(who=ANY)
    def clean_up(self, who: bool) -> None:
        account = self.names[who]
        ended = [i for i in self.model.items if i.account == account and i.state in ("expired", "failed")]
        gone = [item for item in ended if item.kind != "partial"]
        answer = self.ask(account, "DELETE", f"{self.server.api}/files/upload/tasks/cleanup")
        assert (answer.status, answer.json()["count"]) == (200, len(gone))
        for item in gone:
            self.model.items.remove(item)
            assert said(self.tus(item, "HEAD"))[0] == 404
            assert said(self.rest(item, "GET", "progress")) == (404, "NOT_FOUND")
        self.touched = None

    @rule(often=st.integers(0, 3))
    def a_day_goes_by(self, often: int) -> None:
        if often:
            return
        self.world.leap()
        self.model.next_day()
        for item in self.model.items:
            if item.state == "expired" and item.ended_on == self.model.day:
                eventually(lambda item=item: self.tus(item, "HEAD").status == 410)

    def compare(self) -> None:
        """Nothing is forgotten over a restart."""
        for item in self.model.items:
            self.compare_progress(item)

    @rule(often=st.integers(0, 3))
    def stop_and_start(self, often: int) -> None:
        if not often:
            self.world.stop_and_check()
            self.server.start()
            self.compare()

    @rule(often=st.integers(0, 3))
    def kill_and_start(self, often: int) -> None:
        if not often:
            self.server.restart()
            self.compare()
