"""Patches of other people's code, one file each; a test fails when the host changes under one."""
