"""What tests of the server's door ask with, and how they look at a refusal."""

PROJECTS = "/api/v1/projects"
NEW = {"slug": "fresh"}


def told(reply, status: int, code: str) -> dict[str, str]:
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (status, code), error
    return error


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}
