"""The cloud at the ports: what the workers call, without sockets, for fast tests of the logic.

It keeps the cloud's rules that matter here (a grant comes before an association, a token is
spent once, associations take time) and does at each call what a test has ordered.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from shared.announce import Announcer
from shared.attach import AccountA, Attach
from shared.authorize import AccountB, Authorize
from shared.cloud.errors import CloudFailure, Refused
from shared.cloud.router import Association
from shared.inbox import Inbox, Message, Pace
from shared.ledger.sql import SqlLedger
from shared.registry import Registry, Role
from shared.settle import Settler

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.contract import AuthorizationId
