"""Keys of Amazon's that end: a role's, a web identity's, a container's, a machine's, a profile's; renewed in time."""

import asyncio
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.generative.gateway.upstreams.loopback import DEADLINES, Reply, call, loopback, make, texts

from gimbal.generative.gateway.provider import Refusal
from gimbal.generative.gateway.providers.upstreams.aws import AwsKey
from gimbal.kernel.errors import ConfigurationError, Upstream

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYSECRETKEY"
BASE = {"access_key_id": "AKIDBASE", "secret_access_key": SECRET, "session_token": "base-token-0123456789"}
ROLE = "arn:aws:iam::123456789012:role/team/gimbal"
NOW = 1_700_000_000.0
NAMES = ("AccessKeyId", "SecretAccessKey", "SessionToken")


def ends(life):
    return datetime.fromtimestamp(NOW + life, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sts(number=0, life=3600, action="AssumeRole"):
    values = (f"ASIA{number}", f"{SECRET}{number}", f"role-token-{number}/+==0123456789")
    said = "".join(f"<{name}>{value}</{name}>" for name, value in zip(NAMES, values, strict=True))
    return Reply(
        body=f"<{action}Response><{action}Result><Credentials>{said}<Expiration>{ends(life)}</Expiration>"
        f"</Credentials></{action}Result></{action}Response>".encode(),
        headers=((b"content-type", b"text/xml"),),
    )


def told(number=0, life=3600):
    said = {
        "Code": "Success",
        "AccessKeyId": f"ASIA{number}",
        "SecretAccessKey": f"{SECRET}{number}",
        "Token": f"role-token-{number}",
        "Expiration": ends(life),
    }
    return Reply(body=json.dumps(said).encode())


@pytest.fixture
async def desk():
    async with loopback() as app:
        app.replies = [sts(number) for number in range(20)]
        yield app


@pytest.fixture
def clock():
    return [NOW]


@pytest.fixture
def bedrock(up, http_client, clock):
    def made(key="", **settings):
        provider = make("bedrock", http_client, up.url, key, region="eu-central-1", **settings)
        provider._aws._now = lambda: clock[0]
        return provider

    return made


async def used(provider, up):
    await texts(await provider.open(call("bedrock.converse"), "m", DEADLINES))
    key = up.last.header("authorization").partition("Credential=")[2].partition("/")[0]
    return key, up.last.header("x-amz-security-token")


def refused(code, words):
    xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>{words}</Message></Error></ErrorResponse>"
    return Reply(403, xml.encode(), ((b"content-type", b"text/xml"),))


async def test_a_role_is_assumed_by_a_request_that_the_base_key_signs(bedrock, up, desk):
    provider = bedrock(
        json.dumps(BASE), role=ROLE, external_id="ours & yours", session_name="g@home", token_url=desk.url
    )

    assert await used(provider, up) == ("ASIA0", "role-token-0/+==0123456789")
    form = {name: value[0] for name, value in parse_qs(desk.last.body.decode()).items()}
    assert form == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "g@home",
        "DurationSeconds": "3600",
        "ExternalId": "ours & yours",
    }
    assert (desk.last.method, desk.last.target) == ("POST", "/")
    assert desk.last.header("x-amz-security-token") == BASE["session_token"]
    found = desk.last.header("authorization")
    assert "Credential=AKIDBASE/20231114/eu-central-1/sts/aws4_request" in found
    key = AwsKey(*BASE.values())
    assert found.endswith(signature(desk.last, key, "sts"))
    role = AwsKey("ASIA0", f"{SECRET}0", "role-token-0/+==0123456789")
    assert up.last.header("authorization").endswith(signature(up.last, role, "bedrock"))


def signature(sent, key, service):
    listed = sent.header("authorization").partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-date", "x-amz-security-token"} <= set(listed)
    request = AWSRequest(
        method=sent.method,
        url=f"http://{sent.header('host')}{sent.target}",
        headers={name: sent.header(name) for name in listed if name != "host"},
        data=sent.body,
    )
    request.context["timestamp"] = sent.header("x-amz-date")
    auth = SigV4Auth(Credentials(*key), service, "eu-central-1")
    return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)


async def test_a_roles_key_is_renewed_before_it_ends_and_kept_while_no_other_is_given(bedrock, up, desk, clock):
    desk.replies = [sts(0), refused("ServiceUnavailable", "later"), sts(1)]
    provider = bedrock(json.dumps(BASE), role=ROLE, token_url=desk.url)
    assert [(await used(provider, up))[0] for _ in range(3)] == ["ASIA0"] * 3
    clock[0] += 3600 - 60
    assert [(await used(provider, up))[0] for _ in range(2)] == ["ASIA0"] * 2
    assert len(desk.sent) == 2
    clock[0] += 6
    assert await used(provider, up) == ("ASIA1", "role-token-1/+==0123456789")


async def test_those_who_need_a_key_at_once_wait_for_one(bedrock, up, desk):
    gate = asyncio.Event()
    desk.replies = [Reply(body=sts().body, gate=gate)]
    provider = bedrock(json.dumps(BASE), role=ROLE, token_url=desk.url)
    calls = [asyncio.create_task(provider.open(call("bedrock.converse"), "m", DEADLINES)) for _ in range(20)]
    await asyncio.wait_for(desk.arrived.wait(), 5)
    gate.set()
    await asyncio.gather(*calls)

    assert len(desk.sent) == 1


async def test_a_key_that_was_ended_early_is_replaced_once(bedrock, up, desk):
    ended = Reply(403, b'{"message":"expired"}', ((b"x-amzn-errortype", b"ExpiredTokenException"),))
    up.replies = [ended, Reply(), ended, ended]
    provider = bedrock(json.dumps(BASE), role=ROLE, token_url=desk.url)
    assert (await used(provider, up))[0] == "ASIA1"
    with pytest.raises(Refusal):
        await used(provider, up)
    assert len(up.sent) == 4
    up.replies = [Reply(403, b'{"message":"not allowed"}', ((b"x-amzn-errortype", b"AccessDeniedException"),))]
    with pytest.raises(Refusal):
        await used(provider, up)
    assert len(up.sent) == 5


async def test_a_key_that_does_not_change_is_not_tried_twice(up, http_client):
    up.replies = [Reply(403, b"{}", ((b"x-amzn-errortype", b"ExpiredTokenException"),))]
    provider = make("bedrock", http_client, up.url, json.dumps(BASE), region="eu-central-1")
    with pytest.raises(Refusal):
        await provider.open(call("bedrock.converse"), "m", DEADLINES)
    assert len(up.sent) == 1


async def test_a_role_by_a_web_identity_is_asked_for_without_a_signature(bedrock, up, desk, tmp_path, clock):
    file = tmp_path / "token"
    file.write_text("eyJ.web-0123456789\n")
    desk.replies = [sts(0, action="AssumeRoleWithWebIdentity"), sts(1, action="AssumeRoleWithWebIdentity")]
    provider = bedrock(identity="web", role=ROLE, identity_file=str(file), token_url=f"{desk.url}/")

    assert (await used(provider, up))[0] == "ASIA0"
    form = parse_qs(desk.last.body.decode())
    assert (form["Action"], form["WebIdentityToken"]) == (["AssumeRoleWithWebIdentity"], ["eyJ.web-0123456789"])
    assert form["RoleSessionName"] == ["gimbal"]
    assert desk.last.header("authorization") is None
    file.write_text("eyJ.another")
    clock[0] += 3600
    assert (await used(provider, up))[0] == "ASIA1"
    assert parse_qs(desk.last.body.decode())["WebIdentityToken"] == ["eyJ.another"]
    desk.replies = [refused("InvalidIdentityToken", "not valid: eyJ.another")]
    clock[0] += 3600
    with pytest.raises(Upstream) as caught:
        await used(provider, up)
    assert "eyJ.another" not in str(caught.value)
    assert "renewed" in caught.value.todo


async def test_a_container_is_told_its_key(bedrock, up, desk, tmp_path):
    desk.replies = [told(0)]
    plain = bedrock(identity="container", metadata_url=f"{desk.url}/v2/credentials/x-1")
    assert await used(plain, up) == ("ASIA0", "role-token-0")
    assert (desk.last.method, desk.last.target, desk.last.header("authorization")) == (
        "GET",
        "/v2/credentials/x-1",
        None,
    )
    assert (await used(bedrock("auth-0123456789", identity="container", metadata_url=desk.url), up))[0] == "ASIA0"
    assert desk.last.header("authorization") == "auth-0123456789"
    file = tmp_path / "auth"
    file.write_text("of-the-pod\n")
    await used(bedrock(identity="container", metadata_url=desk.url, identity_file=str(file)), up)
    assert desk.last.header("authorization") == "of-the-pod"


async def test_a_machine_is_told_its_key_by_the_second_version(bedrock, up, desk, clock):
    session = Reply(body=b"session-0123456789")
    desk.replies = [session, Reply(body=b"gimbal role\n"), told(0), session, Reply(body=b"gimbal role"), told(1, 7200)]
    provider = bedrock(identity="instance", metadata_url=desk.url)

    assert await used(provider, up) == ("ASIA0", "role-token-0")
    place = "/latest/meta-data/iam/security-credentials/"
    assert [(sent.method, sent.target) for sent in desk.sent] == [
        ("PUT", "/latest/api/token"),
        ("GET", place),
        ("GET", f"{place}gimbal%20role"),
    ]
    assert desk.sent[0].header("x-aws-ec2-metadata-token-ttl-seconds") == "300"
    assert [sent.header("x-aws-ec2-metadata-token") for sent in desk.sent[1:]] == ["session-0123456789"] * 2
    clock[0] += 3600 - 100
    assert (await used(provider, up))[0] == "ASIA1"


async def test_a_machines_key_assumes_a_role(bedrock, up, desk):
    async with loopback() as metadata:
        metadata.replies = [Reply(body=b"s"), Reply(body=b"role"), told(7, 36_000_000)]
        provider = bedrock(identity="instance", role=ROLE, metadata_url=metadata.url, token_url=desk.url)
        provider._aws._base._now = lambda: NOW
        assert (await used(provider, up))[0] == "ASIA0"
    assert "Credential=ASIA7/" in desk.last.header("authorization")
    assert desk.last.header("x-amz-security-token") == "role-token-7"


async def test_a_base_key_that_has_ended_is_read_anew_to_assume_the_role(bedrock, up, desk, tmp_path):
    file = tmp_path / "credentials"

    def write(key):
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET}\n")

    write("AKIDOLD")
    desk.replies = [sts(0), refused("ExpiredToken", "ExpiredToken: has ended"), sts(1)]
    provider = bedrock(identity="profile", identity_file=str(file), role=ROLE, token_url=desk.url)
    await used(provider, up)
    write("AKIDNEW")
    provider._aws.forget(provider._aws.held)
    assert (await used(provider, up))[0] == "ASIA1"
    by = [sent.header("authorization").partition("Credential=")[2].partition("/")[0] for sent in desk.sent]
    assert by == ["AKIDOLD", "AKIDOLD", "AKIDNEW"]


async def test_a_profile_is_read_and_read_again(bedrock, up, tmp_path, clock):
    file = tmp_path / "config"
    file.write_text(
        f"[default]\naws_access_key_id=AKIDD\naws_secret_access_key=x\n"
        f"[profile team]\naws_access_key_id = AKIDT\naws_secret_access_key = {SECRET}%x\naws_session_token = tok-0123\n"
        "[empty]\nrole_arn = x\n"
    )

    def made(profile=""):
        return bedrock(identity="profile", profile=profile, identity_file=str(file))

    assert await used(made(), up) == ("AKIDD", None)
    provider = made("team")
    assert await used(provider, up) == ("AKIDT", "tok-0123")
    for profile, words in (("empty", "no keys"), ("none", "no profile")):
        with pytest.raises(ConfigurationError, match=words):
            await used(made(profile), up)
    file.write_text("[team]\naws_access_key_id = AKIDU\naws_secret_access_key = y\n")
    clock[0] += 301
    assert await used(provider, up) == ("AKIDU", None)
    file.write_text("[team\naws_secret_access_key = y\n")
    clock[0] += 301
    with pytest.raises(ConfigurationError, match="cannot be read") as caught:
        await used(provider, up)
    assert "aws_secret" not in str(caught.value.message)


@pytest.mark.parametrize(
    "reply",
    [Reply(body=b"<html>"), Reply(body=b"{}"), sts(0)._replace(body=sts(0).body.replace(b"Expiration", b"Ex"))],
)
async def test_garbage_for_a_key_is_none(bedrock, up, desk, reply):
    desk.replies = [reply]
    for provider in (
        bedrock(json.dumps(BASE), role=ROLE, token_url=desk.url),
        bedrock(identity="container", metadata_url=desk.url),
    ):
        with pytest.raises(Upstream, match="none"):
            await used(provider, up)
    assert up.sent == []


async def test_who_may_not_assume_a_role_is_told_what_to_do(bedrock, up, desk):
    desk.replies = [refused("AccessDenied", "User is not authorized to perform: sts:AssumeRole")]
    with pytest.raises(Upstream, match="gets no key of its role") as caught:
        await used(bedrock(json.dumps(BASE), role=ROLE, token_url=desk.url), up)
    assert "AccessDenied: User is not authorized to perform: sts:AssumeRole" in caught.value.message
    assert "<" not in caught.value.message
    assert ROLE in caught.value.todo
    assert SECRET not in f"{caught.value}{caught.value.todo}"


async def test_a_check_without_a_model_has_a_key_lent(bedrock, up, desk):
    provider = bedrock(json.dumps(BASE), role=ROLE, token_url=desk.url, models=("m",))
    assert await provider.ask_models() == ["m"]
    assert (len(desk.sent), up.sent) == (1, [])
    desk.replies = [refused("AccessDenied", "no")]
    with pytest.raises(Upstream, match="gets no key of its role"):
        await bedrock(json.dumps(BASE), role=ROLE, token_url=desk.url).ask_models()


async def test_no_key_is_shown(bedrock, up, desk):
    provider = bedrock(json.dumps(BASE), role=ROLE, token_url=desk.url)
    up.replies = [Reply(400, b'{"message":"bad role-token-0/+==0123456789"}')]
    with pytest.raises(Refusal) as caught:
        await used(provider, up)
    assert "role-token" not in f"{caught.value}{caught.value.body_sent!r}"
    assert SECRET not in f"{provider._aws!r}{provider._aws.held!r}{provider!r}{provider._aws.__dict__!r}"


@pytest.mark.parametrize(
    ("key", "settings", "where"),
    [
        (json.dumps(BASE), {"role": "gimbal"}, "role"),
        (json.dumps(BASE), {"role": ROLE, "session_name": "a b"}, "session_name"),
        ("bedrock-api-key-x", {"role": ROLE}, "role"),
        (json.dumps(BASE), {"identity": "instance"}, "key"),
        ("", {"identity": "web", "role": ROLE}, "identity_file"),
        ("", {"identity": "container"}, "metadata_url"),
        ("", {"identity": "managed"}, "identity"),
        ("", {"identity": "instance", "metadata_url": "nowhere"}, "metadata_url"),
    ],
)
async def test_what_cannot_prove_who_asks_is_told_before_any_call(http_client, key, settings, where):
    with pytest.raises(ConfigurationError) as caught:
        make("bedrock", http_client, "", key, region="eu-central-1", **settings)

    assert caught.value.where == where
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("region", "host"),
    [("eu-central-1", "sts.eu-central-1.amazonaws.com"), ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn")],
)
async def test_roles_are_assumed_in_the_region(http_client, region, host):
    provider = make("bedrock", http_client, "", json.dumps(BASE), region=region, role=ROLE)
    assert provider._aws._desk.origin == ("https", host, 443)
