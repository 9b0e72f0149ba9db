"""A result is told: written back to its ticket's callback, and to the chats that want it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

import structlog
from pydantic_core import from_json, to_json

from shared.contract import BadMessage, Outcome, read_object, read_result
from shared.mapping.tree import Misfit
from shared.notify.sending import NotYet, Undeliverable
from shared.notify.wording import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from pydantic import SecretStr

    from shared.contract import Bundle, Callback, Language, Request, Result
    from shared.ledger import Ledger
    from shared.mapping import Mapping as SystemMapping
    from shared.notify.delivery import Deliveries
    from shared.notify.sending import Reply, Sender
    from shared.notify.signing import Signer
    from shared.notify.wording import Texts
    from shared.registry import Registry

log = structlog.get_logger()

_OUTCOMES: Final = frozenset(get_args(Outcome))


@dataclass(frozen=True)
class Channel:
    """One place that a result is told to.

    Args:
        name: `callback`, or `chat:NAME`.
        system: The mapping by which it is told.
        language: Of the comment.
        url: Where to; for a chat a secret.
        allowed: The hosts that it may be.
        signer: Signs; a chat's URL is secret instead.
    """

    name: str
    system: str
    language: Language
    url: str
    allowed: tuple[str, ...]
    signer: Signer | None


@dataclass(frozen=True)
class Notifier:
    """Tells results.

    Args:
        ledger: Where a result's request is found, and its callback.
        registry: Where senders may be written to, and which chats there are.
        mappings: How each system is told.
        texts: The words, by language.
        signers: Each sender's, by its name.
        chat_urls: Each chat's URL, by its name.
        sender: Sends.
        deliveries: What was delivered before.
        bury: Puts a result that can never be delivered into the dead letters, with the reason.
        now: The clock, UTC.
    """

    ledger: Ledger
    registry: Registry
    mappings: Mapping[str, SystemMapping]
    texts: Mapping[Language, Texts]
    signers: Mapping[str, Signer]
    chat_urls: Mapping[str, SecretStr]
    sender: Sender
    deliveries: Deliveries
    bury: Callable[[str, str], object]
    now: Callable[[], datetime]

    def tell(self, body: str) -> dict[str, str]:
        """The result is told on each of its channels, or lies in the dead letters with its reason.

        Args:
            body: The message of the topic.

        Returns:
            What became of it on each channel.

        Raises:
            NotYet: A channel may take it later; the others are not told again then.
        """
        try:
            document = read_object(body)
            if not _is_of_a_request(document):
                log.info("result_passed_over")
                return {}
            result = read_result(document)
        except BadMessage as bad:
            self._give_up(body, f"not a result: {bad}")
            return {"result": "undeliverable"}
        return self._told(result, body)

    def _told(self, result: Result, body: str) -> dict[str, str]:
        became: dict[str, str] = {}
        hopeless: list[str] = []
        later: list[str] = []
        for name, made in self._channels(result):
            try:
                became[name] = self._deliver(result, name, made)
            except Undeliverable as error:
                became[name] = "undeliverable"
                hopeless.append(f"{name}: {error}")
            except NotYet as error:
                became[name] = "later"
                later.append(f"{name}: {error}")
        log.info("result_told", outcome=result.data.outcome, result_id=result.id, channels=became)
        if later:  # the whole comes again then, and so does what is hopeless
            raise NotYet("; ".join(later + hopeless))
        if hopeless:
            self._give_up(body, "; ".join(hopeless))
        return became

    def _deliver(self, result: Result, name: str, made: Callable[[], Channel]) -> str:
        """Told, or known to have been told."""

        def send() -> None:
            self._send(result, made())

        return "told" if self.deliveries.once(result.id, name, send) else "told before"

    def _send(self, result: Result, channel: Channel) -> None:
        mapping = self.mappings.get(channel.system)
        if mapping is None:
            raise Undeliverable(f"there is no mapping {channel.system}")
        try:
            texts = self.texts[channel.language]
            answer = mapping.answer(answer_document(result, texts, channel.language))
        except Misfit as misfit:
            raise Undeliverable(f"mapping {channel.system}: {misfit}") from None
        body = to_json(answer.body)
        headers = (
            channel.signer.headers(result.id, self.now(), body.decode()) if channel.signer else {}
        )
        reply = self.sender.send(answer.method, channel.url, channel.allowed, body, headers)
        _check_taken(mapping, reply)

    def _channels(self, result: Result) -> Iterator[tuple[str, Callable[[], Channel]]]:
        """Each channel's name, and what makes it; one that cannot be made is undeliverable."""
        asked = self._asked(result)
        if asked is not None and asked.callback is not None:
            callback = asked.callback
            yield "callback", lambda: self._callback(asked, callback)
        for name, chat in self.registry.chats.items():
            if result.data.outcome in chat.outcomes:
                yield f"chat:{name}", lambda name=name: self._chat(name)  # type: ignore[misc]

    def _asked(self, result: Result) -> Request | Bundle | None:
        """The request that the result answers; of a part that was never begun, its bundle.

        A refusal of another message that bore the same id goes to nobody's ticket: who sent that
        one was told so when it came, and the ticket that has the id asked for something else.
        """
        data = result.data
        if data.final and not result.is_answer:
            return None
        record = self.ledger.request(data.request_id)
        if record is None and data.part_of is not None:
            record = self.ledger.request(data.part_of)
        return record.request if record else None

    def _callback(self, asked: Request | Bundle, callback: Callback) -> Channel:
        sender = self.registry.senders.get(asked.sender) if asked.sender else None
        if asked.sender is None or sender is None:
            raise Undeliverable("the request names no sender whose callback could be allowed")
        signer = self.signers.get(asked.sender)
        if signer is None:
            raise Undeliverable(f"ANSWER_SECRETS has no secret of sender {asked.sender}")
        return Channel(
            name="callback",
            system=callback.system,
            language=callback.language,
            url=callback.url,
            allowed=sender.callback_hosts,
            signer=signer,
        )

    def _chat(self, name: str) -> Channel:
        chat, url = self.registry.chats[name], self.chat_urls.get(name)
        if url is None:
            raise Undeliverable(f"CHAT_URLS has no URL of chat {name}")
        return Channel(
            name=f"chat:{name}",
            system=chat.system,
            language=chat.language,
            url=url.get_secret_value(),
            allowed=(chat.host,),
            signer=None,
        )

    def _give_up(self, body: str, reason: str) -> None:
        self.bury(body, reason)
        log.error("message_dead", reason=reason, attempt=1)


def answer_document(result: Result, texts: Texts, language: Language) -> dict[str, Any]:
    """What a mapping's answer is made from; docs/ticketing.md lists it. Pure."""
    data = result.data
    said = say(result, texts)
    told = data.model_dump(mode="json", exclude_none=True)
    instance = told.get("authorization", {})
    return {
        **told,
        **{name: instance[name] for name in instance if name not in told},
        "event_id": result.id,
        "time": result.time.isoformat(),
        "ticket": data.ticket or data.request_id,
        # The ticket's own answer, not that of one of its parts.
        "closes": data.final and result.is_answer and data.part_of is None,
        "language": language,
        "headline": said.headline,
        "comment": said.comment,
        "result": result.model_dump(mode="json", exclude_none=True),
    }


def _is_of_a_request(document: dict[str, Any]) -> bool:
    """What the clean-up and the doctor tell of their runs is on the topic, too."""
    data = document.get("data")
    outcome = data.get("outcome") if isinstance(data, dict) else None
    is_event = isinstance(document.get("type"), str) and isinstance(outcome, str)
    return not is_event or outcome in _OUTCOMES


def _check_taken(mapping: SystemMapping, reply: Reply) -> None:
    """Some systems answer 200 whatever comes: their mapping says how they mean it."""
    if mapping.accepted is None:
        return
    try:
        said = from_json(reply.body)
        is_taken = mapping.accepted.made(said, ("answer", "accepted")) is True
        passes = mapping.passing is not None and bool(
            mapping.passing.made(said, ("answer", "passing"))
        )
    except (ValueError, Misfit):
        raise NotYet(f"{mapping.name} answered what its mapping cannot read") from None
    if is_taken:
        return
    if passes:
        raise NotYet(f"{mapping.name} does not take it at present")
    raise Undeliverable(f"{mapping.name} did not take it")
