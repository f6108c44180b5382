"""The dashboard's sessions: a signed cookie that stands for whoever logged in.

A session names the token that it began with, and that is looked at again with every request: revoked, it ends
all its sessions.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import Final

import msgspec

from sluicegate.auth.identity import Identity, OperatorRole, Session
from sluicegate.errors import Unauthenticated

COOKIE: Final = "sluicegate_session"
SECONDS: Final = 12 * 3600
_ALGORITHM: Final = "HS256"
_AUDIENCE: Final = "sluicegate-session"


class Sessions:
    """Signs and reads the cookies. Services with one key know one another's sessions."""

    def __init__(self, key: str | None) -> None:
        self._key = key or secrets.token_urlsafe(48)

    def begin(self, user_id: str, role: OperatorRole, *, token_id: str | None = None) -> tuple[str, Session]:
        """The cookie's text, and what it says."""
        import jwt  # a tenth of a second, which only a login is worth

        now = int(time.time())
        session = Session(
            sub=user_id, role=role, csrf=secrets.token_urlsafe(24), iat=now, exp=now + SECONDS, tok=token_id
        )
        claims = {name: value for name, value in msgspec.structs.asdict(session).items() if value is not None}
        return jwt.encode({**claims, "aud": _AUDIENCE}, self._key, algorithm=_ALGORITHM), session

    def read(self, text: str) -> Session:
        """Raises Unauthenticated for what we did not sign, and for what has ended."""
        import jwt

        try:
            claims = jwt.decode(
                text, self._key, algorithms=[_ALGORITHM], audience=_AUDIENCE, options={"require": ["exp"]}
            )
            return msgspec.convert(claims, Session)
        except (jwt.PyJWTError, msgspec.ValidationError) as error:
            raise Unauthenticated("the session has ended: log in again") from error

    def form_token(self, who: Identity) -> str:
        """What the caller's forms have in `csrf`: a page of another site cannot know it.

        Also without a session: a proxy in front adds its JWT to whatever a browser sends, and with auth
        disabled everybody is let in.
        """
        if who.session is not None:
            return who.session.csrf
        return hmac.new(self._key.encode(), f"form of {who.caller}".encode(), hashlib.sha256).hexdigest()

    def proved(self, who: Identity, csrf: str) -> bool:
        """Whether a form is one that was made for this caller."""
        expected = self.form_token(who).encode()
        return hmac.compare_digest(expected, csrf.encode("utf-8", "surrogatepass"))
