"""The wireless simulator: cells that train twin models and share them through the SDK.

Nothing here reaches the service, the chain or the store except through `registry.Client`.
"""
