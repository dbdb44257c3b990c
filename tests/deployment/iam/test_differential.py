"""The judgement of policies and the local stack's evaluation, compared with IAM's rules, over random policies.

Rule: each may be stricter than IAM, and never milder.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from random import Random
from typing import Any, Final

import pytest

from lattice_bridge.deployment.iam.access import Permitted, admits_group, granted, may_admit_group, severity
from lattice_bridge.deployment.iam.auth_policy import admits_anonymous, admits_no_caller
from lattice_bridge.deployment.iam.policy import read_policy
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.local.front.exchange.http_message import HttpRequest, Signer
from lattice_bridge.local.front.exchange.identities import Identity
from lattice_bridge.local.front.lattice.authorization import NotAuthorized, authorize
from lattice_bridge.local.plan.auth_policy import AuthPolicy, undecided
from lattice_bridge.local.plan.model import Service
from tests.support.examples import examples
from tests.support.iam_evaluator import POSITIVE, Context, Names, admitted

OURS, THEIRS = "123456789012", "999999999999"
ROLE, OTHER = f"arn:aws:iam::{OURS}:role/bridge", f"arn:aws:iam::{OURS}:role/other"
EVIL = f"arn:aws:iam::{THEIRS}:role/evil"
SERVICE = f"arn:aws:vpc-lattice:eu-west-1:{OURS}:service/svc-0123456789abcdef0"
FUNCTION = f"arn:aws:lambda:eu-west-1:{OURS}:function:orders:live"
GROUP = f"arn:aws:vpc-lattice:eu-west-1:{OURS}:targetgroup/tg-0123456789abcdef0"
FOREIGN = GROUP.replace(OURS, THEIRS)
LATTICE = "vpc-lattice.amazonaws.com"
INVOKE = "lambda:InvokeFunction"

# ---- random policies ------------------------------------------------------------------------------------------------

OPERATORS: Final = (
    *(*POSITIVE, "Null"),
    *("StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotLike"),
)


def statement(random: Random, principals: Sequence[Any], actions: Sequence[Any], on: Sequence[Any]) -> dict[str, Any]:
    """A statement without Effect and Condition, and without a Principal if there is none to choose from."""
    elements = zip(("Principal", "Action", "Resource"), (principals, actions, on), strict=True)
    return {("Not" if random.random() < 0.08 else "") + name: random.choice(of) for name, of in elements if of}


def condition(random: Random, keys: Sequence[str], values: Sequence[str]) -> dict[str, Any]:
    """A Condition of up to three parts, or none."""
    found: dict[str, Any] = {}
    for _ in range(random.choice([0, 1, 1, 2, 2, 3])):
        operator = random.choice(OPERATORS)
        if operator == "Null":
            found.setdefault(operator, {})[random.choice(keys)] = _some(random, ["true", "false"])
            continue
        operator = random.choice([""] * 8 + ["ForAllValues:", "ForAnyValue:"]) + operator
        operator += random.choice([""] * 4 + ["IfExists"])
        found.setdefault(operator, {})[random.choice(keys)] = _some(random, values)
    return {"Condition": found} if found else {}


def _some(random: Random, values: Sequence[str]) -> Any:
    return random.choice(values) if random.random() < 0.6 else random.choices(values, k=random.randint(1, 3))


# ---- auth policies --------------------------------------------------------------------------------------------------

ANONYMOUS: Final[Names] = frozenset({("*", "*"), ("AWS", "*")})
UNSIGNED: Final[Sequence[Context]] = [
    {"aws:principaltype": "Anonymous", "aws:resourceorgid": "o-1", **more, **vpc}
    for more in ({}, {"aws:userid": "anonymous"})
    for vpc in ({}, {"vpc-lattice-svcs:sourcevpc": "vpc-1"}, {"vpc-lattice-svcs:sourcevpc": "vpc-2"})
]
AUTH: Final = (
    ["*", "*", "*", {"AWS": "*"}, {"AWS": [ROLE, "*"]}, {"AWS": ROLE}, {"Service": "*"}, {"Federated": "*"}],
    ["*", "vpc-lattice-svcs:Invoke", "vpc-lattice-svcs:*", "VPC-Lattice-svcs:inv*", "vpc-lattice-svcs:Connect"],
    [
        *("*", "*", f"{SERVICE}/*", f"{SERVICE}/health", f"{SERVICE[:-1]}9/*", f"{SERVICE[:-1]}?/*", "*/health"),
        *(f"{SERVICE}*", f"{SERVICE[:-4]}*"),
    ],
)
AUTH_KEYS: Final = (
    *("aws:PrincipalType", "AWS:principaltype", "aws:PrincipalArn", "aws:PrincipalOrgID", "aws:PrincipalTag/team"),
    *("aws:PrincipalOrgPaths", "aws:PrincipalIsAWSService", "aws:userid", "vpc-lattice-svcs:SourceVpc"),
)
AUTH_VALUES: Final = (
    *("Anonymous", "anonymous", "Anon*", "*", "User", "o-1", ROLE, "vpc-1", "?*", ""),
    *("${aws:PrincipalType}", "${aws:ResourceOrgID}", "true", "false"),
)


@pytest.mark.parametrize("seed", range(4))
def test_policy_that_admits_an_unsigned_request_is_never_called_safe(seed: int) -> None:
    random = Random(seed)
    for _ in range(examples(250)):
        policy = [
            {"Effect": random.choice(["Allow", "Allow", "Deny"]), **statement(random, *AUTH)}
            | condition(random, AUTH_KEYS, AUTH_VALUES)
            for _ in range(random.randint(1, 3))
        ]
        admits_some = any(
            admitted(policy, context, ANONYMOUS, "vpc-lattice-svcs:Invoke", path)
            for context, path in product(UNSIGNED, (f"{SERVICE}/", f"{SERVICE}/health"))
        )
        read = read_policy({"Statement": policy})
        judged = admits_anonymous(read, SERVICE) and not admits_no_caller(read, SERVICE)
        assert judged or not admits_some, policy


# ---- auth policies in the local stack -------------------------------------------------------------------------------

BLUE, ALICE = f"arn:aws:iam::{OURS}:role/blue", f"arn:aws:iam::{THEIRS}:user/alice"
SESSION: Final = f"arn:aws:sts::{OURS}:assumed-role/blue/me"
NETWORK: Final = f"arn:aws:vpc-lattice:eu-west-1:{OURS}:servicenetwork/sn-0123456789abcdef0"


def signed(arn: str, names: Sequence[str], **keys: str) -> tuple[Signer, Names, Context]:
    """A signed caller: as the local stack has it, the names that a Principal may use for it, its condition keys."""
    account = arn.split(":")[4]
    known = {"aws:principalarn": arn, "aws:principalaccount": account, "aws:principalisawsservice": "false"}
    every = [*names, "*", account, f"arn:aws:iam::{account}:root"]
    signer = Identity("K", "s", parse_arn(arn), arn, "me", keys.get("orgid")).signer("me")
    context = known | {f"aws:principal{name}": value for name, value in keys.items()}
    return signer, frozenset({("*", "*"), *(("AWS", name) for name in every)}), context


ASKING: Final[Sequence[tuple[Signer | None, Names, Context]]] = (
    (None, ANONYMOUS, {"aws:principaltype": "Anonymous"}),
    signed(BLUE, [BLUE, SESSION], type="AssumedRole", orgid="o-1"),
    signed(ALICE, [ALICE], type="User"),
)
LOCAL: Final = (
    [
        *("*", "*", {"AWS": "*"}, {"AWS": BLUE}, {"AWS": [ALICE, OURS]}, {"AWS": SESSION}, {"AWS": THEIRS}),
        *({"AWS": f"arn:aws:iam::{THEIRS}:root"}, {"Service": "*"}, {"Federated": "*"}),
    ],
    AUTH[1],
    AUTH[2],
)
LOCAL_KEYS: Final = (
    *("aws:PrincipalType", "AWS:principalarn", "aws:PrincipalOrgID", "aws:PrincipalTag/team", "aws:PrincipalAccount"),
    *("vpc-lattice-svcs:RequestMethod", "vpc-lattice-svcs:RequestHeader/X-Team", "aws:PrincipalIsAWSService"),
    *("vpc-lattice-svcs:RequestQueryString/q", "vpc-lattice-svcs:RequestPath", "vpc-lattice-svcs:ServiceArn"),
)
LOCAL_VALUES: Final = (
    *("Anonymous", "anonymous", "Anon*", "*", "User", "o-1", BLUE, "arn:aws:iam::*:role/*", "GET", "P?T", "blue"),
    *("/health", "/h*", SERVICE, OURS, THEIRS, "", "true", "false"),
)
PLAIN: Final = LOCAL_KEYS, LOCAL_VALUES
UNDECIDED: Final = (
    (*LOCAL_KEYS, "aws:userid", "aws:SourceIp"),
    (*LOCAL_VALUES, "${aws:PrincipalType}", "${aws:PrincipalAccount}"),
)
ASKED: Final = [
    HttpRequest(method, target, headers)
    for method, headers in (("GET", []), ("PUT", [("x-team", "blue")]))
    for target in ("/", "/health", "/health?q=blue")
]


def context_of(request: HttpRequest, caller: Context) -> Context:
    path, _, query = request.target.partition("?")
    asked = {"requestmethod": request.method, "requestpath": path, "servicearn": SERVICE}
    asked |= {f"requestheader/{name}": value for name, value in request.headers}
    asked |= {"requestquerystring/q": "blue"} if query else {}
    known = {f"vpc-lattice-svcs:{name}": value for name, value in asked.items()}
    return {**caller, **known, "aws:userid": "x", "aws:sourceip": "10.0.0.1"}


@pytest.mark.parametrize("seed", range(4))
def test_local_stack_allows_what_iam_allows_and_never_more(seed: int) -> None:
    """If a policy has no NotPrincipal and nothing undecided, the stack allows exactly what IAM allows."""
    random = Random(seed)
    for _ in range(examples(75)):
        some = random.choice([PLAIN, UNDECIDED])
        pair = [
            [
                {"Effect": random.choice(["Allow", "Allow", "Deny"]), **statement(random, *LOCAL)}
                | condition(random, *some)
                for _ in range(random.randint(1, 3))
            ]
            for _level in ("network", "service")
        ]
        random.choice(pair).append({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"})
        of_network, of_service = (read_policy({"Statement": statements}) for statements in pair)
        exact = not any(one.all_but or [*undecided(one)] for one in (*of_network, *of_service))
        policies = AuthPolicy("network", "N", "P", of_network), AuthPolicy("service", "S", "Q", of_service)
        served = Service("orders", SERVICE, NETWORK, ("orders",), (), policies)
        for (signer, names, caller), request in product(ASKING, ASKED):
            context, path = context_of(request, caller), SERVICE + request.target.partition("?")[0]
            expected = all(admitted(one, context, names, "vpc-lattice-svcs:Invoke", path) for one in pair)
            allowed = allows(served, request, signer)
            assert expected or not allowed, (pair, context)
            assert allowed or not (expected and exact), (pair, context)


def allows(service: Service, request: HttpRequest, signer: Signer | None) -> bool:
    try:
        authorize(service, request, signer)
    except NotAuthorized:
        return False
    return True


# ---- resource policies ----------------------------------------------------------------------------------------------

Caller = tuple[str, str, Names, Context]
"""Account, name, the names that a Principal may use for it, and its condition keys."""


def identity(arn: str, account: str) -> Caller:
    named = {("AWS", name) for name in ("*", arn, account, f"arn:aws:iam::{account}:root")}
    return account, arn, frozenset(named | {("*", "*")}), {"aws:principalarn": arn, "aws:principalaccount": account}


def service(name: str, source: str, account: str) -> Caller:
    named = frozenset({("Service", name), ("Service", "*"), ("AWS", "*"), ("*", "*")})
    return account, name, named, {"aws:sourcearn": source, "aws:sourceaccount": account}


FROM_GROUP: Final = service(LATTICE, GROUP, OURS)
CALLERS: Final = (
    *(identity(ROLE, OURS), identity(OTHER, OURS), identity(EVIL, THEIRS)),
    *(FROM_GROUP, service(LATTICE, FOREIGN, THEIRS)),
    *(service("s3.amazonaws.com", GROUP, OURS), service("s3.amazonaws.com", FOREIGN, THEIRS)),
)
DOORS: Final = (
    [
        *("*", {"AWS": ROLE}, {"AWS": [ROLE, OTHER]}, {"AWS": OURS}, {"AWS": THEIRS}, {"AWS": EVIL}),
        *({"Service": LATTICE}, {"Service": [LATTICE, "s3.amazonaws.com"]}, {"Service": "*"}),
    ],
    [INVOKE, "lambda:*", "lambda:Get*", ["lambda:List*", "lambda:Update*"], "lambda:?pdate*"],
    ["*"],
)
DOOR_KEYS: Final = ("aws:SourceArn", "AWS:SourceAccount", "aws:PrincipalArn", "aws:PrincipalAccount")
DOOR_VALUES: Final = (
    *(GROUP, FOREIGN, FOREIGN.upper(), OURS, THEIRS, ROLE, EVIL, EVIL.upper(), f"arn:aws:iam::{OURS}:role/*", "*"),
    *("arn:aws:vpc-lattice:*:${aws:SourceAccount}:targetgroup/*", "arn:aws:iam::${aws:PrincipalAccount}:*"),
)
BACKEND: Final = Permitted(frozenset({("AWS", ROLE)}), frozenset({OURS}))
BRIDGE: Final = Permitted(frozenset({("Service", LATTICE)}))
LEVELS: Final = {None: 0, "warning": 1, "error": 2}


def door(random: Random) -> dict[str, Any]:
    keys = random.choices(DOOR_KEYS, k=2)  # few, so that two conditions are on one of them
    return {"Effect": "Allow", **statement(random, *DOORS), **condition(random, keys, DOOR_VALUES)}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("own", [BACKEND, BRIDGE], ids=["backend", "bridge"])
def test_statement_has_the_level_of_its_worst_caller(own: Permitted, seed: int) -> None:
    random = Random(seed)
    for _ in range(examples(350)):
        one = door(random)
        worst = 0
        for (account, name, names, context), action in product(CALLERS, (INVOKE, "lambda:UpdateFunctionCode")):
            welcome = {("AWS", name), ("Service", name)} & own.principals and action == INVOKE
            if not welcome and admitted([one], context, names, action, FUNCTION):
                worst = max(worst, 1 if account in own.accounts else 2)
        (read,) = read_policy({"Statement": [one]})
        assert LEVELS[severity(read, own)] >= worst, one


LATTICE_VALUES: Final = (
    *(GROUP, GROUP.upper(), FOREIGN, OURS, THEIRS, f"{OURS[:-1]}?", "*", f"{GROUP[:-3]}*"),
    *("arn:aws:vpc-lattice:*:${aws:SourceAccount}:targetgroup/*", "${aws:SourceAccount}", "${aws:SourceArn}"),
)


@pytest.mark.parametrize("seed", range(4))
def test_admission_of_lattice_is_never_overstated(seed: int) -> None:
    random = Random(seed)
    _account, _name, names, context = FROM_GROUP
    for _ in range(examples(400)):
        principals = [{"Service": LATTICE}, {"Service": [LATTICE, "s3.amazonaws.com"]}, "*", {"AWS": ROLE}]
        one = {"Effect": "Allow", "Resource": "*"}  # a name's policy is for the name
        one |= statement(random, principals, [INVOKE, "lambda:*", "lambda:Get*"], [])
        one |= condition(random, DOOR_KEYS[:2], LATTICE_VALUES)
        (read,) = read_policy({"Statement": [one]})
        does = admitted([one], context, names, INVOKE, FUNCTION)
        assert does or not admits_group(read, GROUP), one
        assert may_admit_group(read, GROUP) or not does, one


# ---- an identity's policies -----------------------------------------------------------------------------------------

RIGHTS: Final[tuple[list[Any], list[Any], list[Any]]] = (
    [],
    ["*", "lambda:*", "lambda:InvokeFunction", "LAMBDA:invoke*", "s3:*", ["s3:*", "lambda:I?voke*"]],
    [
        *("*", FUNCTION, FUNCTION[:-5], f"{FUNCTION[:-5]}:*", "arn:aws:lambda:*:*:function:*:live"),
        *(f"{FUNCTION[:-1]}?", FUNCTION.replace(OURS, "${aws:PrincipalAccount}")),
    ],
)
REQUESTS: Final[Sequence[Context]] = (
    {"aws:sourceip": "1", "aws:principalaccount": OURS},
    {"aws:sourceip": "2", "aws:principalaccount": THEIRS},
    {},
)


@pytest.mark.parametrize("seed", range(4))
def test_role_is_granted_what_iam_grants(seed: int) -> None:
    random = Random(seed)
    for _ in range(examples(350)):
        policy = [
            {"Effect": random.choice(["Allow", "Deny"]), **statement(random, *RIGHTS)}
            | random.choice([{}, {}, condition(random, ["aws:SourceIp"], ["1", "2", "3"])])
            for _ in range(random.randint(0, 4))
        ]
        found = granted(read_policy({"Statement": policy}), INVOKE, FUNCTION)
        every = [admitted(policy, context, frozenset(), INVOKE, FUNCTION) for context in REQUESTS]
        assert all(every) if found == "allowed" else found == "conditional" or not any(every), (found, policy)
