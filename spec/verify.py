#!/usr/bin/env python3
"""Checks a Bailiwick proof file offline: verify.py PROOF KEY [WITNESS_KEY...] [--handover FILE...]

Written from spec/ledger.md alone; needs nothing but Python. Each FILE hands the log over to its next key. Exit code
0: the entry is in the log that KEY began (and every witness given has cosigned it), 1: it is not, 2: cannot run.
"""

import base64
import hashlib
import json
import sys


class Bad(Exception):
    pass


# Ed25519 verification, RFC 8032. Slow and not constant time, which a verifier need not be.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def recover_x(y, sign):
    if y >= P:
        raise Bad("a point that is none")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        raise Bad("a point that is none")
    return P - x if x & 1 != sign else x


def point(encoded):
    sign, y = divmod(int.from_bytes(encoded, "little"), 1 << 255)
    x = recover_x(y, sign)
    return (x, y, 1, x * y % P)


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar, p):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, p)
        p = add(p, p)
        scalar >>= 1
    return result


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = point(BASE_Y.to_bytes(32, "little"))


def ed25519_holds(public, message, signature):
    if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= L:
        return False
    r, s = point(signature[:32]), int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = multiply(s, BASE), add(r, multiply(h, point(public)))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def decode(text):
    raw = base64.b64decode(text)
    if base64.b64encode(raw).decode() != text:
        raise Bad("bad base64")
    return raw


def number(text):
    if not text.isascii() or not text.isdigit() or str(int(text)) != text or int(text) >= 2**64:
        raise Bad(f"bad number {text!r}")
    return int(text)


def parse_key(text):
    """NAME+KEYID+BASE64(algorithm, 32 bytes of key); algorithm 1 is a log, 4 a witness."""
    name, key_id, encoded = text.split("+", 2)
    key = decode(encoded)
    digest = hashlib.sha256(name.encode() + b"\n" + key).digest()
    if len(key) != 33 or key[0] not in (1, 4) or digest[:4].hex() != key_id:
        raise Bad("not an Ed25519 key, or not with its id")
    return name, bytes.fromhex(key_id), key[0], key[1:]


def check_signature(text, lines, key):
    """Looks for the key's signature line under the note's text; a cosignature says when."""
    name, key_id, algorithm, public = key
    found = [signature[4:] for signer, signature in lines if (signer, signature[:4]) == (name, key_id)]
    if not found:
        raise Bad(f"no signature by {name}")
    message, signature = text.encode(), found[0]
    if algorithm == 4:
        message = f"cosignature/v1\ntime {int.from_bytes(signature[:8], 'big')}\n".encode() + message
        signature = signature[8:]
    if not ed25519_holds(public, message, signature):
        raise Bad(f"the signature by {name} does not hold")


def signature_line(line):
    dash, signer, encoded = line.split(" ")
    if dash != "\u2014" or not signer or "+" in signer or signer.split() != [signer] or len(decode(encoded)) < 5:
        raise Bad("a malformed signature line")
    return signer, decode(encoded)


def root_from(leaf, index, size, proof):
    """RFC 9162 section 2.1.3.2."""
    if index >= size:
        raise Bad("the index is beyond the log")
    first, last, current = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise Bad("the proof is too long")
        if first & 1 or first == last:
            current = hashlib.sha256(b"\x01" + sibling + current).digest()
            while first & 1 == 0 and first:
                first, last = first >> 1, last >> 1
        else:
            current = hashlib.sha256(b"\x01" + current + sibling).digest()
        first, last = first >> 1, last >> 1
    if last:
        raise Bad("the proof is too short")
    return current


def verify(proof, keys, witnesses):
    head, text, signatures = proof.split("\n\n", 2)
    lines = head.split("\n")
    if lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise Bad("not a proof file")
    entry, index = decode(lines[1][6:]), number(lines[2][6:])
    hashes = [decode(line) for line in lines[3:]]
    if any(len(one) != 32 for one in hashes) or not signatures.endswith("\n") or min(proof.replace("\n", " ")) < " ":
        raise Bad("a hash of a wrong length, no line end, or a control character")
    origin, size, root = text.split("\n")[:3]
    if keys[0][0] != origin:
        raise Bad(f"the log is {origin}, the key is of {keys[0][0]}")
    lines = [signature_line(line) for line in signatures[:-1].split("\n")]
    by = [key for key in keys if any(key[1] == signature[:4] for _, signature in lines)]
    check_signature(text + "\n", lines, (by or keys)[0])
    for key in witnesses:
        check_signature(text + "\n", lines, key)
    if root_from(hashlib.sha256(b"\x00" + entry).digest(), index, number(size), hashes) != decode(root):
        raise Bad("the entry is not in this log at this index")
    return index, number(size), origin, entry


def follow(proof, key, handovers):
    """The keys that may have signed the proof's checkpoint, by its size: at a handover, the old and the new one."""
    size, keys, last, before = number(proof.split("\n\n", 2)[1].split("\n")[1]), [key], key, 0
    for handover in handovers:
        _, until, _, entry = verify(handover, [last], [])
        record = json.loads(entry)
        old, new = (parse_key(record["details"][name]) for name in ("from", "to"))
        is_next = (new[0], new[2]) == (old[0], 1) and until >= before
        if (record["kind"], record["event"], old) != ("log", "rotated", last) or not is_next:
            raise Bad("a handover that announces no key after this one")
        if size >= until:
            keys = [*keys, new] if size == until else [new]
        last, before = new, until
    return keys


def main(arguments):
    paths = arguments[arguments.index("--handover") + 1 :] if "--handover" in arguments else []
    arguments = arguments[: len(arguments) - len(paths) - bool(paths)]
    if len(arguments) < 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        proof, *handovers = [open(path, encoding="utf-8", newline="").read() for path in [arguments[0], *paths]]
        key, *witnesses = [parse_key(argument) for argument in arguments[1:]]
        if [one[2] for one in (key, *witnesses)] != [1] + [4] * len(witnesses) or len(set(witnesses)) < len(witnesses):
            raise Bad("KEY must be a log's, and each WITNESS_KEY a witness's, and given once")
    except (OSError, ValueError, Bad) as error:
        print(f"cannot run: {error}", file=sys.stderr)
        return 2
    try:
        *found, entry = verify(proof, follow(proof, key, handovers), witnesses)
        said, code = ["valid: entry {} of {} in {}".format(*found), entry.decode(errors="replace")], 0
    except (Bad, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        said, code = [f"not valid: {error}"], 1
    print("\n".join("".join(one if one.isprintable() else "\ufffd" for one in line) for line in said))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
