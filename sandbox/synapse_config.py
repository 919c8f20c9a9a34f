"""The configuration of a sandbox Synapse: on loopback, without other servers, and fast.

Synapse's configuration manual describes the options. These prevent contact with other servers (federation, key servers,
statistics), make the server fast (cheap password hashes, no background services) and turn the rate limits off, unless a
test needs them.
"""

import base64
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

# "off", Synapse's own "default", or "off" except for the `rc_*` options given.
RateLimits = Literal["off", "default"] | Mapping[str, Any]

_UNLIMITED = {"per_second": 1e9, "burst_count": 1_000_000_000}
_NO_RATE_LIMITS: dict[str, Any] = {
    "rc_message": _UNLIMITED,
    "rc_registration": _UNLIMITED,
    "rc_registration_token_validity": _UNLIMITED,
    "rc_login": {"address": _UNLIMITED, "account": _UNLIMITED, "failed_attempts": _UNLIMITED},
    "rc_admin_redaction": _UNLIMITED,
    "rc_joins": {"local": _UNLIMITED, "remote": _UNLIMITED},
    "rc_joins_per_room": _UNLIMITED,
    "rc_key_requests": _UNLIMITED,
    "rc_3pid_validation": _UNLIMITED,
    "rc_invites": {"per_room": _UNLIMITED, "per_user": _UNLIMITED, "per_issuer": _UNLIMITED},
    "rc_third_party_invite": _UNLIMITED,
    "rc_media_create": _UNLIMITED,
    "rc_presence": {"per_user": _UNLIMITED},
    "rc_delayed_event_mgmt": _UNLIMITED,
    "rc_room_creation": _UNLIMITED,
    "rc_reports": _UNLIMITED,
    "rc_user_directory": _UNLIMITED,
    "rc_profile": _UNLIMITED,
}


def synapse_config(
    directory: Path, server_name: str, rate_limits: RateLimits, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the configuration without the listeners, which depend on the port; `settings` replace its options."""
    config: dict[str, Any] = {
        "server_name": server_name,
        "report_stats": False,
        "database": {"name": "sqlite3", "args": {"database": str(directory / "homeserver.db")}},
        "media_store_path": str(directory / "media"),
        "max_upload_size": "200M",
        "signing_key": f"ed25519 a_1 {_unpadded(secrets.token_bytes(32))}",
        "macaroon_secret_key": secrets.token_urlsafe(),
        "form_secret": secrets.token_urlsafe(),
        "registration_shared_secret": secrets.token_urlsafe(),
        "enable_registration": False,
        "bcrypt_rounds": 4,
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        "federation_domain_whitelist": [],
        "presence": {"enabled": False},
        "stats": {"enabled": False},
        "user_directory": {"enabled": False},
        "url_preview_enabled": False,
    }
    if rate_limits != "default":
        config |= _NO_RATE_LIMITS
    if not isinstance(rate_limits, str):
        config |= rate_limits
    return config | dict(settings)


def listener(port: int) -> dict[str, Any]:
    """Return the one listener: client API and admin API, on loopback only."""
    return {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "type": "http",
        "tls": False,
        "resources": [{"names": ["client", "media"], "compress": False}],
    }


def _unpadded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
