#!/usr/bin/env python3
"""Expected values for src/sampler/sampler_test.c: PLMS, UniPC, DDIM with eta, LCM, each in the form of
its paper (states of unit variance, alpha and sigma), in double precision with the standard library.
The closed-form model and noise are those of the test.  Prints the first three numbers of each."""
import math

N, STEPS, T = 24, 6, 1000

betas = [(math.sqrt(0.00085) + (math.sqrt(0.012) - math.sqrt(0.00085)) * i / (T - 1)) ** 2 for i in range(T)]
cumulated, product = [], 1.0
for beta in betas:
    product *= 1 - beta
    cumulated.append(product)


def ratio(timestep):
    """sigma / alpha at a timestep, log-linear in between"""
    low = min(int(timestep), T - 2)
    part = timestep - low
    logs = [0.5 * math.log((1 - c) / c) for c in (cumulated[low], cumulated[low + 1])]
    return math.exp((1 - part) * logs[0] + part * logs[1])


def level(s):
    """alpha, sigma of a ratio"""
    return 1 / math.sqrt(1 + s * s), s / math.sqrt(1 + s * s)


def clean(x, s):
    """the closed form, asked with a state of unit variance"""
    alpha = level(s)[0]
    return [(v / alpha) / (1 + s * s) + 0.15 * math.sin(3 * (v / alpha) / (1 + s)) + 0.05 for v in x]


def eps_of(x, s):
    alpha, sigma = level(s)
    return [(v - alpha * d) / sigma for v, d in zip(x, clean(x, s))]


def noise(count):
    return [math.sqrt(2) * math.sin(0.7 * i + 1.3 * count) for i in range(N)]


def begin(s):
    """as the test starts: x in k-diffusion's scale is sqrt(1 + s^2) * unit"""
    return [math.sin(1.7 * i + 0.3) for i in range(N)]


def ddim_step(x, eps, s, to):
    a, b = level(s), level(to)
    return [b[0] * (v - a[1] * e) / a[0] + b[1] * e for v, e in zip(x, eps)]


def leading():
    stride = T // STEPS
    return [ratio((STEPS - 1 - i) * stride + 1) for i in range(STEPS)] + [ratio(0)]


def plms():
    s, old = leading(), []
    x = begin(s[0])
    for i in range(STEPS):
        e = eps_of(x, s[i])
        if not old:
            there = eps_of(ddim_step(x, e, s[i], s[i + 1]), s[i + 1])
            mean = [(p + q) / 2 for p, q in zip(e, there)]
        else:
            weights = {1: (3 / 2, -1 / 2), 2: (23 / 12, -16 / 12, 5 / 12),
                       3: (55 / 24, -59 / 24, 37 / 24, -9 / 24)}[len(old)]
            mean = [sum(w * q[k] for w, q in zip(weights, [e] + old[::-1])) for k in range(N)]
        x = ddim_step(x, mean, s[i], s[i + 1])
        old = (old + [e])[-3:]
    return x


def ddim(eta):
    s = leading()
    x = begin(s[0])
    for i in range(STEPS):
        a, b = level(s[i]), level(s[i + 1])
        e = eps_of(x, s[i])
        deviation = eta * b[1] / a[1] * math.sqrt(1 - a[0] ** 2 / b[0] ** 2)
        rest = math.sqrt(1 - b[0] ** 2 - deviation ** 2)
        z = noise(i + 1)
        x = [b[0] * (v - a[1] * q) / a[0] + rest * q + deviation * r for v, q, r in zip(x, e, z)]
    return x


def solve(rows, right):
    n = len(right)
    rows = [list(r) + [b] for r, b in zip(rows, right)]
    for i in range(n):
        best = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[best] = rows[best], rows[i]
        for r in range(n):
            if r != i:
                f = rows[r][i] / rows[i][i]
                rows[r] = [p - f * q for p, q in zip(rows[r], rows[i])]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def unipc_update(x, s, i, order, guesses, there):
    """UniP (there None) or UniC of the paper's appendix, prediction of the data, B1"""
    a, b = level(s[i]), level(s[i + 1])
    lam = [-math.log(v) for v in s]
    h = lam[i + 1] - lam[i]
    r = [(lam[i - j] - lam[i]) / h for j in range(1, order)] + [1.0]
    hh = -h
    phi1 = math.expm1(hh)
    phi, factorial, rows, right = phi1 / hh - 1, 1, [], []
    for k in range(order):
        rows.append([v ** k for v in r])
        right.append(phi * factorial / hh)
        factorial *= k + 2
        phi = phi / hh - 1 / factorial
    if there is None:
        rho = [0.5] if order == 2 else solve([q[:-1] for q in rows[:-1]], right[:-1]) if order > 2 else []
    else:
        rho = [0.5] if order == 1 else solve(rows, right)
    differences = [[(p - q) / r[j - 1] for p, q in zip(guesses[j], guesses[0])] for j in range(1, order)]
    if there is not None:
        differences.append([p - q for p, q in zip(there, guesses[0])])
    return [b[1] / a[1] * x[k] - b[0] * phi1 * guesses[0][k]
            - b[0] * hh * sum(w * d[k] for w, d in zip(rho, differences)) for k in range(N)]


def unipc():
    s = [ratio((T - 1) * (1 - i / STEPS)) for i in range(STEPS + 1)]
    x = begin(s[0])
    guesses = [clean(x, s[0])]
    for i in range(STEPS):
        order = min(3, i + 1, STEPS - i)
        predicted = unipc_update(x, s, i, order, guesses, None)
        if i + 1 == STEPS:
            return predicted
        there = clean(predicted, s[i + 1])
        x = unipc_update(x, s, i, order, guesses, there)
        guesses = [there] + guesses


def lcm():
    s = [ratio((T - 1) * (1 - i / STEPS)) for i in range(STEPS)] + [0.0]
    x = [s[0] * math.sin(1.7 * i + 0.3) / level(s[0])[0] ** -1 for i in range(N)]  # unit state of s0 * noise
    for i in range(STEPS):
        d = clean(x, s[i])
        alpha, sigma = level(s[i + 1])
        x = [alpha * p + sigma * q for p, q in zip(d, noise(i + 1))]
    return x


def euler_churn():
    """Karras et al. 2022, algorithm 2 without correction: S_churn 1.5, S_tmin 0.1, S_tmax 10, S_noise 1.1"""
    s = [ratio((T - 1) * (1 - i / STEPS)) for i in range(STEPS)] + [0.0]
    x, count = [s[0] * math.sin(1.7 * i + 0.3) for i in range(N)], 0
    for i in range(STEPS):
        gamma = min(1.5 / STEPS, math.sqrt(2) - 1) if 0.1 <= s[i] <= 10 else 0
        hat = s[i] * (1 + gamma)
        if gamma > 0:
            count += 1
            x = [v + 1.1 * math.sqrt(hat * hat - s[i] * s[i]) * z for v, z in zip(x, noise(count))]
        d = [v / (1 + hat * hat) + 0.15 * math.sin(3 * v / (1 + hat)) + 0.05 for v in x]
        x = [v + (v - q) / hat * (s[i + 1] - hat) for v, q in zip(x, d)]
    return x


for name, values in (("PLMS", plms()), ("UniPC", unipc()), ("DDIM eta 0", ddim(0)), ("DDIM eta 0.5", ddim(0.5)),
                     ("LCM", lcm()), ("Euler churn", euler_churn())):
    print(name, ", ".join(repr(v) for v in values[:3]))

# Zero terminal SNR: betas rescaled as in the paper's algorithm 1, then sigmas.
roots = [math.sqrt(c) for c in cumulated]
first, last = roots[0], roots[-1]
roots = [(v - last) * first / (first - last) for v in roots]
for i in (0, 1, 500, 990, 998):
    print("zero snr", i, repr(math.sqrt(1 / roots[i] ** 2 - 1)))
