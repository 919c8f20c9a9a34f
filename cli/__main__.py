"""`python -m cli` is `surfaces-bot` (contract S3)."""

from cli.app import main

main()
