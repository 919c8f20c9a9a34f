"""Where the local files are: all that `inspect-room` and a local `reset` need to be told (contract E2)."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Places(BaseSettings):
    """The two paths, from the environment or `.env`; nothing of the account is needed or read."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore"
    )

    matrix_db_path: Path = Path("lambda_matrix.db")
    matrix_store_path: Path = Path("matrix_store")
