"""What an answer consists of while it grows: output items, each with the events that tell of it."""

from typing import Any

from gimbal.generative.gateway.conversation import Json

Event = tuple[str, Json]
"""The event's type, and its fields but for the sequence number."""


class Item:
    """One output item; `added`, then whatever it grows by, then `done`."""

    kind = ""

    def __init__(self, known: str, place: int) -> None:
        self.known = known
        self.place = place
        self._status = ""
        """How it ended."""

    def at(self, **more: Any) -> Json:
        """Return fields that say which item, and where in it."""
        return {"item_id": self.known, "output_index": self.place} | more

    def shown(self, status: str) -> Json:
        """Return the item with a status."""
        raise NotImplementedError

    def now(self) -> Json:
        """Return the item as it ended, or as incomplete where it did not."""
        return self.shown(self._status or "incomplete")

    def added(self) -> list[Event]:
        """Return the events of its beginning."""
        return [("response.output_item.added", {"output_index": self.place, "item": self.shown("in_progress")})]

    def done(self, status: str) -> list[Event]:
        """Return the events of its end."""
        self._status = status
        return [("response.output_item.done", {"output_index": self.place, "item": self.shown(status)})]


class Message(Item):
    """Text, or a refusal, or one after the other."""

    kind = "message"

    def __init__(self, known: str, place: int) -> None:
        super().__init__(known, place)
        self._parts: list[tuple[str, list[str]]] = []

    def shown(self, status: str) -> Json:
        """Return the message."""
        content = [_part(kind, "".join(said)) for kind, said in self._parts]
        message: Json = {"type": "message", "id": self.known, "status": status, "role": "assistant"}
        return message | {"content": content if status != "in_progress" else []}

    def grown(self, kind: str, said: str) -> list[Event]:
        """Return the events for more of it; `kind` is output_text or refusal."""
        events: list[Event] = []
        if not self._parts or self._parts[-1][0] != kind:
            events += self._part_done()
            self._parts.append((kind, []))
            events.append(("response.content_part.added", self._here(part=_part(kind, ""))))
        self._parts[-1][1].append(said)
        more: Json = {"delta": said} | ({"logprobs": []} if kind == "output_text" else {})
        return [*events, (f"response.{kind}.delta", self._here(**more))]

    def _here(self, **more: Any) -> Json:
        return self.at(content_index=len(self._parts) - 1, **more)

    def _part_done(self) -> list[Event]:
        if not self._parts:
            return []
        kind, rows = self._parts[-1]
        said = "".join(rows)
        whole = {"text": said, "logprobs": []} if kind == "output_text" else {"refusal": said}
        part = _part(kind, said)
        return [
            (f"response.{kind}.done", self._here(**whole)),
            ("response.content_part.done", self._here(part=part)),
        ]

    def done(self, status: str) -> list[Event]:
        """Return the events of its end."""
        return self._part_done() + super().done(status)


def _part(kind: str, said: str) -> Json:
    if kind == "refusal":
        return {"type": "refusal", "refusal": said}
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": []}


class Thought(Item):
    """What the model thought, as a summary; its signature, or what the provider hid, is the encrypted content."""

    kind = "reasoning"

    def __init__(self, known: str, place: int) -> None:
        super().__init__(known, place)
        self._said: list[str] = []
        self.sealed = ""

    def shown(self, status: str) -> Json:
        """Return the thought."""
        text = "".join(self._said)
        summary = [{"type": "summary_text", "text": text}] if text and status != "in_progress" else []
        item: Json = {"type": "reasoning", "id": self.known, "summary": summary, "status": status}
        return item | {"encrypted_content": self.sealed} if self.sealed else item

    def grown(self, said: str) -> list[Event]:
        """Return the events for more of it."""
        first: list[Event] = []
        if not self._said:
            first = [("response.reasoning_summary_part.added", self._here(part={"type": "summary_text", "text": ""}))]
        self._said.append(said)
        return [*first, ("response.reasoning_summary_text.delta", self._here(delta=said))]

    def _here(self, **more: Any) -> Json:
        return self.at(summary_index=0, **more)

    def done(self, status: str) -> list[Event]:
        """Return the events of its end."""
        text = "".join(self._said)
        part = {"type": "summary_text", "text": text}
        told: list[Event] = [
            ("response.reasoning_summary_text.done", self._here(text=text)),
            ("response.reasoning_summary_part.done", self._here(part=part)),
        ]
        return (told if self._said else []) + super().done(status)


class FunctionCall(Item):
    """One call of a function."""

    kind = "function_call"

    def __init__(self, known: str, place: int) -> None:
        super().__init__(known, place)
        self.call_id = ""
        self.name = ""
        self._said: list[str] = []

    def shown(self, status: str) -> Json:
        """Return the call."""
        item: Json = {"type": "function_call", "id": self.known, "call_id": self.call_id or self.known}
        arguments = "".join(self._said) if status != "in_progress" else ""
        return item | {"name": self.name, "arguments": arguments, "status": status}

    def grown(self, said: str) -> list[Event]:
        """Return the event for more of its arguments."""
        self._said.append(said)
        return [("response.function_call_arguments.delta", self.at(delta=said))]

    def done(self, status: str) -> list[Event]:
        """Return the events of its end."""
        whole = self.at(name=self.name, arguments="".join(self._said))
        return [("response.function_call_arguments.done", whole), *super().done(status)]
