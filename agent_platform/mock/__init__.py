"""The mock agent (contract A6): answers in process, so that everything can be tried without a platform.

Start at `platform.MockPlatform`; what it answers to which phrase is in `answers`.
"""
