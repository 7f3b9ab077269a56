"""A real SMTP server (aiosmtpd) that behaves as the recipients are called. What happens stands on standard output, a JSON
document in each line: first the port, then each mail that was taken.

refused@ is answered 550, later@ 451, and once@ so the first time; hang@ never once the mail is there, break@ breaks off then,
nonsense@ is answered with what is no SMTP."""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    seen = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later@") or address.startswith("once@") and address not in self.seen:
            self.seen.add(address)
            return "451 4.3.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        def is_for(name):
            return any(to.startswith(name) for to in envelope.rcpt_tos)

        if is_for("hang@"):
            await asyncio.sleep(60)
        say(
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "data": envelope.content.decode(),
                "is_encrypted": server.transport.get_extra_info("ssl_object") is not None,
                "is_known": session.authenticated is True,
            }
        )
        if is_for("break@"):
            server.transport.abort()
            return "250 nobody hears this"
        if is_for("nonsense@"):
            return "\x7fELF what is this?"
        return "250 OK: queued as 4711"


def say(document):
    print(json.dumps(document), flush=True)


def knows(server, session, envelope, mechanism, data):
    is_right = data.login == b"stalker" and data.password == b"password-of-the-tests"
    return AuthResult(success=is_right, handled=is_right)


async def main(tls, login, certificate, key):
    context = None
    if tls != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

    def smtp():
        return SMTP(
            Handler(),
            hostname="mail.invalid",
            tls_context=context if tls == "starttls" else None,
            require_starttls=tls == "starttls",
            authenticator=knows if login == "login" else None,
            auth_required=login == "login",
            auth_require_tls=tls == "starttls",
        )

    server = await asyncio.get_running_loop().create_server(
        smtp, "127.0.0.1", 0, ssl=context if tls == "tls" else None
    )
    say({"port": server.sockets[0].getsockname()[1]})
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
