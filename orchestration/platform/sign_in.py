"""Server mode: who signed in at the proxy, which names the person in a header and proves itself by
a secret in another."""

from __future__ import annotations

import hmac
import re

from orchestration.platform.refusal import Refused
from orchestration.platform.settings import Settings

# In lower case, as the gateway compares them.
USER_HEADER, SECRET_HEADER = "x-forwarded-user", "x-jingxi-proxy"
NAME = re.compile(r"[!-~]{1,128}")


class SignInRefused(Refused):
    """A request does not come from the proxy, or names nobody."""


def signed_in(settings: Settings, user: str | None, secret: str | None) -> str:
    """The person whom the proxy names.

    Raises
    ------
    SignInRefused
        Without the proxy's secret, and for a name that is none.
    """
    own = settings.proxy_secret
    given = (secret or "").encode("utf-8", "replace")
    if own is None or not hmac.compare_digest(own.get_secret_value().encode(), given):
        raise SignInRefused("the request does not come from the proxy. Sign in there.")
    if not user or not NAME.fullmatch(user):
        raise SignInRefused(
            f"header {USER_HEADER} is invalid: expected a name of up to 128 visible ASCII "
            "characters. Correct the sign-in of the proxy."
        )
    return user
