"""Tests of agent_platform, against real WebSockets of the scripted agent server."""
