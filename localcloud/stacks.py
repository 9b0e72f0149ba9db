"""A stack's resources put into an account of the world, and its RAM resources taken out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud import ros_types, world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.ros import Stack


class StackError(ValueError):
    """A stack that does not fit the account: what is there already, or is not."""


def put(stack: Stack, account: world.Account, region: str) -> None:
    """The account owns all that the stack has.

    A user that is there already keeps its access keys, which no template can give.

    Raises:
        StackError: Something of that name is there, or something that is needed is not.
    """
    for given in _of(stack, ros_types.Queue):
        _new(given.QueueName, [one.name for one in account.queues])
        account.queues.append(_queue(given, region))
    for topic in _of(stack, ros_types.Topic):
        _new(topic.TopicName, [one.name for one in account.topics])
        account.topics.append(world.Topic(name=topic.TopicName, region=region))
    for subscription in _of(stack, ros_types.Subscription):
        _subscribe(subscription, account)
    put_identities(stack, account)


def put_identities(stack: Stack, account: world.Account) -> None:
    """The account has the stack's roles, users and policies. Raises StackError."""
    for given in _of(stack, ros_types.Role):
        _new(given.RoleName.lower(), [one.name.lower() for one in account.roles])
        account.roles.append(_role(given))
    for user in _of(stack, ros_types.User):
        if user.UserName not in [one.name for one in account.users]:
            account.users.append(world.User(name=user.UserName))
    for policy in _of(stack, ros_types.ManagedPolicy):
        for holder in _holders(policy, account):
            holder.policies.append(policy.PolicyDocument)


def take_identities(stack: Stack, account: world.Account) -> None:
    """The account has the stack's roles and policies no more; users stay, for their keys."""
    for policy in _of(stack, ros_types.ManagedPolicy):
        for holder in _holders(policy, account):
            holder.policies.remove(policy.PolicyDocument)
    gone = {one.RoleName for one in _of(stack, ros_types.Role)}
    account.roles[:] = [one for one in account.roles if one.name not in gone]


def _of(stack: Stack, kind: type[ros_types.AnyProperties]) -> Iterator[ros_types.AnyProperties]:
    found = [one.properties for one in stack.resources.values()]
    return (one for one in found if isinstance(one, kind))


def _new(name: str, known: list[str]) -> None:
    if name in known:
        raise StackError(f"{name} is there already")


def _role(given: ros_types.Role) -> world.Role:
    return world.Role(
        name=given.RoleName,
        trust=given.AssumeRolePolicyDocument,
        policies=[one.PolicyDocument for one in given.Policies],
        max_session_seconds=given.MaxSessionDuration,
    )


def _queue(given: ros_types.Queue, region: str) -> world.Queue:
    letters = given.DlqPolicy
    return world.Queue(
        name=given.QueueName,
        region=region,
        delay_seconds=given.DelaySeconds,
        visibility_seconds=given.VisibilityTimeout,
        retention_seconds=given.MessageRetentionPeriod,
        polling_wait_seconds=given.PollingWaitSeconds,
        maximum_message_size=given.MaximumMessageSize,
        dead_letter=world.DeadLetter(
            queue=letters.DeadLetterTargetQueue, max_receive_count=letters.MaxReceiveCount
        )
        if letters and letters.Enabled
        else None,
    )


def _subscribe(given: ros_types.Subscription, account: world.Account) -> None:
    topic = next((one for one in account.topics if one.name == given.TopicName), None)
    if topic is None:
        raise StackError(f"there is no topic {given.TopicName}")
    _new(given.SubscriptionName, [one.name for one in topic.subscriptions])
    letters = given.DlqPolicy
    if letters and letters.DeadLetterTargetQueue not in [one.name for one in account.queues]:
        raise StackError(f"there is no queue {letters.DeadLetterTargetQueue}")
    buried = letters.DeadLetterTargetQueue if letters and letters.Enabled else None
    topic.subscriptions.append(
        world.Subscription(
            name=given.SubscriptionName,
            endpoint=given.Endpoint,
            filter_tag=given.FilterTag,
            notify_strategy=given.NotifyStrategy,
            notify_content_format=given.NotifyContentFormat,
            dead_letter_queue=buried,
        )
    )


def _holders(
    policy: ros_types.ManagedPolicy, account: world.Account
) -> Iterator[world.Role | world.User]:
    for names, known, kind in (
        (policy.Roles, account.roles, "role"),
        (policy.Users, account.users, "user"),
    ):
        for name in names:
            holder = next((one for one in known if one.name.lower() == name.lower()), None)
            if holder is None:
                raise StackError(f"{policy.PolicyName}: there is no {kind} {name}")
            yield holder
