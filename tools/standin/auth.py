# SPDX-License-Identifier: MIT
"""Who is asking: the Authorization header, users, passwords and login tokens, quirks included."""

import hashlib
import threading
import time

from standin.gotext import CorruptInput, base64_decode

NO_BASIC = "can not find Basic attribute, please check"
WRONG_FORM = "wrong username or password, please check"
NO_TOKEN = "can not find token, need login first"
NO_MATCH = "the provided username and password did not match any credentials on the server."

_TOKEN_SECONDS = 60 * 60
_SWEEP_SECONDS = _TOKEN_SECONDS / 2
_HASH_ROUNDS = 2000


class AuthError(Exception):
    """The `desc` of a reply that refuses a request."""


class HandlerPanic(Exception):
    """A panic in a handler, which ends a real node."""


class Auth:
    """Credentials of one server. `cost_ms` of CPU go into each check of a password."""

    def __init__(self, store, cost_ms=0):
        self._store = store
        self._cost_ms = cost_ms
        self._lock = threading.Lock()
        self._tokens = {}
        self._swept = time.monotonic()
        self.tokens_issued = 0
        # What the last request in clear carried: it serves whoever sends no header of his own.
        self.remembered = ""

    def parse(self, header):
        """What every path but login asks first: ("token", text) or ("password", user, password)."""
        header = header or self.remembered
        if not header:
            raise AuthError(WRONG_FORM)
        words = header.split(" ")
        if len(words) != 2 or words[0] != "Basic":
            raise AuthError(NO_BASIC)
        if _is_hex(words[1]):
            return ("token", words[1])
        try:
            return ("password", *self._user_and_password(words[1]))
        except CorruptInput as error:
            raise AuthError(str(error)) from None

    @staticmethod
    def _user_and_password(text):
        parts = base64_decode(text).decode("utf-8", "surrogateescape").split(":")
        if len(parts) != 2:
            raise AuthError(WRONG_FORM)
        return parts

    def user_of(self, credentials):
        """The user's name as it was sent, once password or token has been verified."""
        if credentials[0] == "token":
            with self._lock:
                self._sweep()
                if credentials[1] not in self._tokens:
                    raise AuthError(NO_TOKEN)
                user, _ = self._tokens[credentials[1]]
                self._tokens[credentials[1]] = (user, time.monotonic())
            return user
        if not self._password_matches(credentials[1], credentials[2]):
            raise AuthError(NO_TOKEN)
        return credentials[1]

    def refresh_remembered(self, header):
        """A handler that runs puts its own header in the place of what was remembered."""
        if self.remembered and header:
            self.remembered = header

    def login(self, header):
        """The token of a GET /restapi/login."""
        header = header or self.remembered
        if not header:
            raise AuthError(NO_BASIC)
        words = header.split(" ")
        if words[0] == "Basic" and len(words) == 1:
            raise HandlerPanic("runtime error: index out of range [1] with length 1")
        if words[0] != "Basic" or words[1] == "":
            raise AuthError(NO_BASIC)
        try:
            user, password = self._user_and_password(words[1])
        except CorruptInput:
            raise AuthError(WRONG_FORM) from None
        if not self._password_matches(user, password):
            raise AuthError(NO_MATCH)
        text = f'{{"UserName":"{user}","LoginTime":{int(time.time())}}}'
        token = hashlib.md5(text.encode("utf-8", "surrogateescape")).hexdigest()
        with self._lock:
            self._tokens.setdefault(token, (user, time.monotonic()))
            self.tokens_issued += 1
        self.remembered = ""
        return token

    def forget_tokens(self):
        with self._lock:
            self._tokens.clear()

    def _sweep(self):
        now = time.monotonic()
        if now - self._swept < _SWEEP_SECONDS:
            return
        self._swept = now
        for token, (_, used) in list(self._tokens.items()):
            if used + _TOKEN_SECONDS < now:
                del self._tokens[token]

    def _password_matches(self, user, password):
        self._burn()
        expected = self._store.users.get(user.lower())
        return bool(expected) and password == expected

    def _burn(self):
        end = time.thread_time() + self._cost_ms / 1000
        while time.thread_time() < end:
            hashlib.pbkdf2_hmac("sha256", b"password", b"salt", _HASH_ROUNDS)


def _is_hex(text):
    return len(text) % 2 == 0 and all(char in "0123456789abcdefABCDEF" for char in text)
