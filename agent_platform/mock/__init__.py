"""The mock agent (contract A6): answers in process, to try every feature without a platform.

Start reading at `platform.MockPlatform`; `answers` composes the answer to each phrase.
"""
