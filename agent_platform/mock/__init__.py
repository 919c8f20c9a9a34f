"""The mock agent (contract A6): answers in process, to try every feature without a platform.

Start at `platform.MockPlatform`; what it answers to which phrase is in `answers`.
"""
