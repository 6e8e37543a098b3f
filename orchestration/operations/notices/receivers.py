"""The receivers of notices: a webhook with Slack-compatible JSON, and e-mail.

Errors are reported by their kind only: their text may contain the address of the webhook, which is
a secret.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from orchestration.operations.notices.message import Message
from orchestration.platform.deadline import within
from orchestration.platform.settings import Settings

# Of one read, and of all that a receiver does with one notice.
READ_SECONDS, RECEIVER_SECONDS = 8, 10
WEBHOOK, MAIL = "webhook", "e-mail"
# Slack's own signs: links, mentions of everybody.
SIGNS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class NotTaken(Exception):
    """A receiver answered and did not take the notice; the text is safe to log."""


def receivers_of(settings: Settings) -> Mapping[str, Callable[[Message], None]]:
    """The receivers that the settings name; each raises if it does not take a notice."""
    found: dict[str, Callable[[Message], None]] = {}
    if settings.notice_webhook is not None:
        found[WEBHOOK] = lambda message: _post(settings, message)
    if settings.smtp_host is not None:
        found[MAIL] = lambda message: _mail(settings, message)
    return found


def deliver(take: Callable[[Message], None], message: Message) -> str | None:
    """Hand a notice to a receiver; returns why it was not taken, None if it was."""
    error = within(RECEIVER_SECONDS, lambda: take(message))
    if error is None:
        return None
    if isinstance(error, NotTaken):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"no answer within {RECEIVER_SECONDS} s"
    return f"cannot be used ({type(error).__name__})"


def _post(settings: Settings, message: Message) -> None:
    import requests

    assert settings.notice_webhook is not None
    text = "\n".join((f"*{message.subject}*", *message.lines)).translate(SIGNS)
    with requests.post(
        settings.notice_webhook.get_secret_value(),
        json={"text": text},
        timeout=READ_SECONDS,
        stream=True,
        # The notice goes to the address of the settings only.
        allow_redirects=False,
    ) as response:
        if not 200 <= response.status_code < 300:
            raise NotTaken(f"answered HTTP {response.status_code}")


def _mail(settings: Settings, message: Message) -> None:
    assert settings.smtp_host and settings.notice_from and settings.notice_to
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"], mail["To"] = settings.notice_from, settings.notice_to
    mail["Date"] = formatdate()
    # Without a domain the name of this machine is looked up, which may take long.
    mail["Message-ID"] = make_msgid(domain=settings.notice_from.rpartition("@")[2])
    mail.set_content("\n".join((*message.lines, "")))
    encrypted = ssl.create_default_context()
    place = (settings.smtp_host, settings.smtp_port, socket.gethostname())
    with (
        smtplib.SMTP_SSL(*place, timeout=READ_SECONDS, context=encrypted)
        if settings.smtp_security == "tls"
        else smtplib.SMTP(*place, timeout=READ_SECONDS)
    ) as server:
        if settings.smtp_security == "starttls":
            server.starttls(context=encrypted)
        if settings.smtp_user is not None:
            password = settings.smtp_password
            server.login(settings.smtp_user, password.get_secret_value() if password else "")
        server.send_message(mail)
