"""A test counts once it has been seen to fail: plant each fault in a copy of the code and demand a red test.

Run with `make faults`; a number or a part of a file's name runs those faults alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_SECONDS = 300

# file under src/paribus, what stands there, the fault, the tests that must go red
FAULTS = [
    ("core/plan.py", "_ROUNDS = 10", "_ROUNDS = 9", "test_plan.py"),
    ("core/plan.py", "k1 + _WEYL[1]", "k1 + _WEYL[0]", "test_plan.py"),
    ("core/plan.py", "range(n - 1, 0, -1)", "range(n - 1, 1, -1)", "test_plan.py"),
    ("core/plan.py", "np.arange(1, n + 1), purpose=0", "np.full(n, n), purpose=0", "test_plan.py"),
    ("core/plan.py", "(product & _LOW) < floor", "(product & _LOW) < 0", "test_plan.py"),
    ("core/plan.py", "np.arange(first_epoch, first_epoch + epochs)", "np.arange(epochs)", "test_plan.py"),
    ("core/plan.py", "examples[:, None], epoch, layer", "np.arange(len(examples))[:, None], epoch, layer", "test_plan.py"),
    ("core/plan.py", "tensor, 0), (self.seed", "0, 0), (self.seed", "test_initialisation.py"),
    ("core/words.py", "if name in parsed:", "if False:", "test_settings.py"),
    ("core/words.py", "mistakes += conflicts(settings, parts, values)", "pass", "test_settings.py"),
    ("core/words.py", "if full in values:", "if False:", "test_settings.py"),
    ("core/sections.py", "allow_inf_nan=False", "allow_inf_nan=True", "test_settings.py"),
    ("tasks/task.py", "_FIXED_SPLIT = 1", "_FIXED_SPLIT = 2", "test_tasks.py"),
    ("tasks/task.py", 'x = _standardised(pool.x, parts["train"])', "x = _standardised(pool.x, order)", "test_tasks.py"),
    ("tasks/task.py", "little.dtype.str}{little.shape", "little.dtype.str", "test_tasks.py"),
    ("tasks/task.py", "seen = {row.tobytes() for row in train}", "seen = set()", "test_tasks.py"),
    ("tasks/pool.py", "if checksum == _checksum(x, y) else None", "", "test_tasks.py"),
    ("models/initialisation.py", "math.sqrt(2 / _fans(shape)[0])", "math.sqrt(1 / _fans(shape)[0])", "test_initialisation.py"),
    ("models/initialisation.py", "math.sqrt(2 / sum(_fans(shape)))", "math.sqrt(2 / _fans(shape)[1])", "test_initialisation.py"),
    ("models/initialisation.py", "q = q * np.sign(np.diag(r))", "q = np.abs(q)", "test_initialisation.py"),
    ("models/initialisation.py", "if init.kind == \"default\"", "if False", "test_initialisation.py"),
    ("byhand/layers.py", "dy.T @ self._x", "dy.T @ self._x / 2", "test_byhand.py"),
    ("byhand/layers.py", "dy.sum(axis=0)", "dy.mean(axis=0)", "test_byhand.py"),
    ("byhand/layers.py", 'return dy @ self.parameters["weight"]', "return dy @ np.abs(self.parameters['weight'])", "test_byhand.py"),
    ("byhand/layers.py", "np.where(self._positive, dy, 0)", "dy", "test_byhand.py"),
    ("byhand/layers.py", "return dy if self._scale is None else dy * self._scale", "return dy", "test_byhand.py"),
    ("byhand/layers.py", "dz /= len(self._y)", "pass", "test_byhand.py"),
    ("byhand/layers.py", "shifted = z - z.max(axis=1, keepdims=True)", "shifted = z", "test_byhand.py"),
    ("byhand/optimizers.py", "g + self.weight_decay * theta if", "g - self.weight_decay * theta if", "test_byhand.py"),
    ("byhand/optimizers.py", "else g.copy()", "else (1 - self.dampening) * g", "test_byhand.py"),
    ("byhand/optimizers.py", "g + self.momentum * b if self.nesterov else b", "b", "test_byhand.py"),
    ("byhand/optimizers.py", "m += (1 - self.beta1) * (g - m)", "m += self.beta1 * (g - m)", "test_byhand.py"),
    ("byhand/optimizers.py", "1 - self.beta2**self.steps) + self.eps", "1 - self.beta2**self.steps)", "test_byhand.py"),
    ("byhand/optimizers.py", "/ (1 - self.beta1**self.steps)", "", "test_byhand.py"),
    ("byhand/optimizers.py", "self.parameters[name][...] *= 1 - self.lr * weight_decay", "pass", "test_byhand.py"),
    ("byhand/optimizers.py", "np.sqrt(v - a * a)", "np.sqrt(v)", "test_byhand.py"),
    ("byhand/optimizers.py", "        b *= self.momentum", "        pass", "test_byhand.py"),
    ("byhand/optimizers.py", "if scale < 1:", "if True:", "test_byhand.py"),
    ("byhand/optimizers.py", "limit / (norm + 1e-6)", "limit / (norm + 1e-2)", "test_byhand.py"),
    ("core/schedules.py", "epoch >= milestone", "epoch > milestone", "test_byhand.py"),
    ("core/schedules.py", "(1 - self.number) * (1 + math.cos(math.pi * epoch / epochs)) / 2", "(1 + math.cos(math.pi * epoch / epochs)) / 2", "test_byhand.py"),
    ("core/schedules.py", "peak = share * total - 1", "peak = share * total", "test_byhand.py"),
    ("core/schedules.py", "(step + 1) / length", "step / length", "test_byhand.py"),
    ("training/loop.py", "(within_epochs or examples is batches[0])", "examples is batches[0]", "test_training.py"),
    ("training/torch_learner.py", "            clip_grad_norm_(self._parameters.values(), self._clip)", "            pass", "test_training.py"),
    ("training/torch_learner.py", "return (batch.tolist() for batch in self.batches)", "return (batch.tolist() for batch in reversed(self.batches))", "test_training.py"),
    ("training/torch_learner.py", ", generator=torch.Generator())", ")", "test_training.py"),
    ("models/mlp.py", "if i < last:", "if True:", "test_byhand.py"),
    ("models/mlp.py", "/ (1 - self.dropout)", "", "test_byhand.py"),
    ("models/mlp.py", "    def reset_parameters", "    def reset", "test_training.py"),
    ("training/loop.py", "if not math.isfinite(float(loss)):", "if False:", "test_training.py"),
    ("training/loop.py", "        if finite:", "        if True:", "test_training.py"),
    ("training/loop.py", "or step == total", "", "test_training.py"),
    ("training/sampling.py", "plan.draws(first, count", "plan.draws(0, count", "test_training.py"),
    ("training/sampling.py", "plan.permutations(first, count", "plan.permutations(0, count", "test_training.py"),
    ("training/numpy_learner.py", "self._plan.keep(epoch, examples, i", "self._plan.keep(epoch, examples, 0", "test_training.py"),
    ("training/torch_learner.py", "add_param_group = inspect.unwrap(optimizer.add_param_group)", "add_param_group = optimizer.add_param_group", "test_training.py"),
    ("training/torch_learner.py", "with torch.no_grad():\n            inspect", "with torch.enable_grad():\n            inspect", "test_byhand.py"),
    ("training/threads.py", "torch.set_num_threads(count)", "pass", "test_training.py"),
    ("study/store.py", "self._rows[run] += len(rows)", "pass", "test_study.py"),
    ("study/store.py", "not version <= SCHEMA_VERSION", "False", "test_study.py"),
    ("study/store.py", "if not on_network(folder):", "if True:", "test_study.py"),
    ("study/store.py", "coalesce(max(attempt), 0) + 1", "1", "test_study.py"),
    ("study/runner.py", "not in FINISHED", "is None", "test_study.py"),
    ("study/runner.py", "if there != here and not absent:", "if False:", "test_study.py"),
    ("study/runner.py", "if metric != request.metric:", "if False:", "test_study.py"),
    ("study/runner.py", "if run.status is not Status.RUNNING:", "if True:", "test_study.py"),
    ("study/runner.py", "with lock(request.folder):", "if True:", "test_study.py"),
    ("study/runner.py", "for seed in request.seeds for arm in request.design.arms]", "for seed in request.seeds[:1] for arm in request.design.arms]", "test_study.py"),
    ("study/store.py", "if not begun:", "if False:", "test_study.py"),
    ("study/store.py", "points.get(task),", "next(iter(points.values()), None),", "test_study.py"),
    ("study/executors.py", "waiting.appendleft(worker.run)", "pass", "test_study.py"),
    ("study/executors.py", "tries[worker.run] < _TRIES", "True", "test_study.py"),
    ("study/file.py", "if key not in _KEYS:", "if False:", "test_files.py"),
    ("study/file.py", "RecursionError", "ZeroDivisionError", "test_files.py"),
    ("study/file.py", "lines += [f\"margin = ", "[f\"margin = ", "test_files.py"),
    ("findings/summary.py", "present.std(ddof=1)", "present.std(ddof=0)", "test_report.py"),
    ("findings/differences.py", "d.std(ddof=1)) / math.sqrt(n)\n    return float(d.mean()) - half", "d.std(ddof=0)) / math.sqrt(n)\n    return float(d.mean()) - half", "test_differences.py"),
    ("findings/differences.py", "stdtrit(n - 1, 1 - alpha / 2)) * float", "stdtrit(n, 1 - alpha / 2)) * float", "test_differences.py"),
    ("findings/differences.py", "x.var(ddof=1) + y.var(ddof=1)", "x.var(ddof=1) - y.var(ddof=1)", "test_differences.py"),
    ("findings/differences.py", "(np.abs(sums) >= least).mean()", "(sums >= least).mean()", "test_differences.py"),
    ("findings/differences.py", "100 * np.finfo(float).eps * float(np.abs(d).sum())", "0", "test_differences.py"),
    ("findings/differences.py", "(1 + (np.abs(sums) >= least).sum()) /", "(np.abs(sums) >= least).sum() /", "test_differences.py"),
    ("findings/differences.py", "(len(ps) - rank) * p", "len(ps) * p", "test_differences.py"),
    ("findings/differences.py", "worst = max(worst, min(1.0", "worst = max(0.0, min(1.0", "test_differences.py"),
    ("findings/differences.py", "max(2.0 ** (1 - pairs), 2.0**-EXACT_PAIRS)", "2.0 ** (1 - pairs)", "test_differences.py"),
    ("findings/differences.py", "2 * ALPHA / family", "ALPHA / family", "test_differences.py"),
    ("findings/differences.py", "t_interval(d, ALPHA / family) if primary", "t_interval(d, ALPHA) if primary", "test_differences.py"),
    ("findings/differences.py", "if d.mean() > 0 else", "if d.mean() < 0 else", "test_differences.py"),
    ("findings/targets.py", "values <= target.value if", "values >= target.value if", "test_targets.py"),
    ("findings/targets.py", "math.inf if epochs is None", "0.0 if epochs is None", "test_targets.py"),
    ("findings/targets.py", "(equal + 1) / 2", "equal", "test_targets.py"),
    ("findings/targets.py", "or not run.timed else", "else", "test_targets.py"),
    ("report/tensorboard.py", "self._begun[key] = rows\n        if ended", "if ended", "test_tensorboard.py"),
    ("report/tensorboard.py", "shutil.rmtree(place, ignore_errors=True)", "pass", "test_tensorboard.py"),
    ("report/show.py", "value if math.isfinite(value) else None", "value", "test_report.py"),
    ("report/curves.py", "_DASHES[i % len(_DASHES)]", "_DASHES[0]", "test_report.py"),
    ("bench/clock.py", "accuracy >= learned_from(task.card.classes)", "True", "test_bench.py"),
    ("findings/agreement.py", "gaps = np.abs(x - y)", "gaps = x - y", "test_report.py"),
    ("core/record.py", "if self.status is not Status.DONE or", "if", "test_report.py"),
    ("report/tables.py", "*_troubles(study), *map", "*[], *map", "test_report.py"),
    ("study/tuning.py", 'sign = 1 if tune.metric.endswith("loss") else -1', "sign = -1", "test_tuning.py"),
    ("study/tuning.py", "at(arm, chosen[arm.name], 0.0)", "at(arm, chosen[arm.name], 0.2)", "test_tuning.py"),
    ("study/tuning.py", "FIRST_SEED = 2**31", "FIRST_SEED = 0", "test_tuning.py"),
    ("study/tuning.py", "if known and len(known) == len(scores) else None", "if known else None", "test_tuning.py"),
    ("study/tuning.py", "(sign * mean, loss)", "(sign * mean, 0.0)", "test_tuning.py"),
    ("study/tuning.py", "value != 0 and value in (tried[0], tried[-1])", "value == tried[0]", "test_tuning.py"),
    ("study/tuning.py", "math.exp(math.log(self.low) * (1 - place) + math.log(self.high) * place)", "self.low * (1 - place) + self.high * place", "test_tuning.py"),
    ("study/stages.py", "if there is not None and there != mine:", "if False:", "test_tuning.py"),
    ("training/door.py", 'if not (run.blind and split == "test")', "if True", "test_tuning.py"),
    ("training/own_module.py", "self._steps += 1", "pass", "test_own.py"),
    ("training/own_module.py", "torch.default_generator.manual_seed(state)", "pass", "test_own.py"),
    ("training/own_module.py", "        self.model.eval()\n", "", "test_own.py"),
    ("training/own_module.py", "        self.model.train()\n        return logits", "        return logits", "test_own.py"),
    ("training/own_module.py", "if shape != (size, task.card.classes):", "if False:", "test_own.py"),
    ("training/randomness.py", "torch.manual_seed(state)", "pass", "test_own.py"),
    ("training/randomness.py", "np.random.set_state(numpy_state)", "pass", "test_own.py"),
    ("training/randomness.py", "with torch.random.fork_rng():", "if True:", "test_own.py"),
    ("training/metrics.py", "softmax(logits) if names[1:2] == [PROBABILITIES] else logits.argmax(axis=1)", "logits.argmax(axis=1)", "test_own.py"),
    ("training/loop.py", "x, y = task.splits[split].x, task.splits[split].y", 'x, y = task.train.x, task.train.y', "test_own.py"),
    ("training/torch_learner.py", 'group["lr"] = rate * factor', 'group["lr"] = self._rates[0] * factor', "test_own.py"),
    ("tasks/arrays.py", "np.searchsorted(classes, np.concatenate(parts))", "np.concatenate(parts)", "test_own.py"),
    ("tasks/arrays.py", "if not np.isfinite(numbers).all():", "if False:", "test_own.py"),
    ("tasks/task.py", "order = np.concatenate([np.arange(n, n + pool.test), order])", "order = np.concatenate([order, np.arange(n, n + pool.test)])", "test_own.py"),
    ("core/own.py", "*(thing.__defaults__ or ()), ", "", "test_own.py"),
    ("core/own.py", "*_closure(thing)", "*()", "test_own.py"),
    ("core/own.py", "yield from _code(constant)", "pass", "test_own.py"),
    ("study/executors.py", "hidden: dict[str, object] = {name: main.pop(name)", "hidden: dict[str, object] = {name: main[name]", "test_own.py"),
    ("fused/draws.py", "for _ in range(10):", "for _ in range(9):", "test_fused.py"),
    ("fused/draws.py", "if (product & LOW) < floor:", "if False:", "test_fused.py"),
    ("fused/draws.py", "np.uint64(examples[i]), epoch, layer", "np.uint64(i), epoch, layer", "test_fused.py"),
    ("fused/layers.py", "s1 += e * x1\n            s2", "s1 += e * x0\n            s2", "test_fused.py"),
    ("fused/layers.py", "u1 * x1 + u2 * x2 + u3 * x3)\n            put(s, z + ROW", "u1 * x1 + u2 * x2 + u3 * x2)\n            put(s, z + ROW", "test_fused.py"),
    ("fused/layers.py", "if not more:\n        for k in range(n_in * n_out):", "if True:\n        for k in range(n_in * n_out):", "test_fused.py"),
    ("fused/layers.py", "total = g[b + j] if more else g.dtype.type(0)", "total = g.dtype.type(0)", "test_fused.py"),
    ("fused/layers.py", "g[w + k] += gradients[k]", "g[w + k] = gradients[k]", "test_fused.py"),
    ("fused/layers.py", "value = scale * back[i, k]", "value = back[i, k]", "test_fused.py"),
    ("fused/layers.py", "value, other = scale * get(s, y + i), scale * get(s, y + ROW + i)", "value, other = get(s, y + i), scale * get(s, y + ROW + i)", "test_fused.py"),
    ("fused/layers.py", "u0, u1, v0, v1 = scale * p[u], scale * p[u + n_in]", "u0, u1, v0, v1 = p[u], scale * p[u + n_in]", "test_fused.py"),
    ("fused/layers.py", "j = n_out % 4  #", "j = n_out % 2  #", "test_fused.py"),
    ("fused/softmax.py", "count += found == np.int64", "count += found != np.int64", "test_fused.py"),
    ("fused/softmax.py", "t = lowest if t < lowest else t", "t = t", "test_fused.py"),
    ("fused/softmax.py", "hot = share if", "hot = one if", "test_fused.py"),
    ("fused/optimizers.py", "if scale < 1:", "if True:", "test_fused.py"),
    ("fused/optimizers.py", "p[i] *= keep", "p[i] *= real(1)", "test_fused.py"),
    ("fused/optimizers.py", "if t == 1:", "if False:", "test_fused.py"),
    ("fused/optimizers.py", "if h[5] != 0:\n            for i in range(n):", "if False:\n            for i in range(n):", "test_fused.py"),
    ("fused/optimizers.py", "real(math.sqrt(1 - h[2] ** t))", "real(math.sqrt(1 - h[2]))", "test_fused.py"),
    ("fused/optimizers.py", "np.sqrt(s1[i] - s2[i] * s2[i])", "np.sqrt(s1[i])", "test_fused.py"),
    ("fused/optimizers.py", "s3[i] = momentum * s3[i] + g[i]", "s3[i] = g[i]", "test_fused.py"),
    ("fused/mlp.py", "if run.clip > 0:", "if False:", "test_fused.py"),
    ("fused/mlp.py", "rate = lrs[epoch]", "rate = lrs[0]", "test_fused.py"),
    ("fused/mlp.py", "rate = lrs[run.step]", "rate = lrs[run.step + 1]", "test_fused.py"),
    ("fused/mlp.py", "if not math.isfinite(run.loss):", "if False:", "test_training.py"),
    ("fused/mlp.py", "if not finite:\n                run.ended", "if False:\n                run.ended", "test_training.py"),
    ("fused/mlp.py", "words[lane, i] >= run.drop_below", "words[lane, i] < run.drop_below", "test_fused.py"),
    ("fused/mlp.py", "repeats(order, begin, n,", "repeats(order, 0, n,", "test_fused.py"),
    ("fused/compiled.py", '_FLAGS = {"reassoc", "contract", "nsz"}', '_FLAGS = {"fast"}', "test_fused.py"),
    ("training/side_by_side.py", "for training in going:\n                for row", "for training in ():\n                for row", "test_fused.py"),
    ("fused/compile.py", 'with FileLock(f"{folder}.lock"):', "if True:", "test_fused.py"),
    ("core/plan.py", "np.arange(first_step, first_step + steps, dtype=np.uint64)", "np.arange(steps, dtype=np.uint64)", "test_own.py"),
    ("byhand/convolution.py", "windows.transpose(1, 4, 5, 2, 3, 0)", "windows.transpose(1, 5, 4, 2, 3, 0)", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)", "[:, :, ::-1].transpose(1, 0, 2, 3)", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "self.kernel - 1 - self.padding)", "self.padding)", "test_byhand_cnn.py"),
    ("byhand/convolution.py", '"bias": rows.sum(axis=1)}', '"bias": rows.mean(axis=1)}', "test_byhand_cnn.py"),
    ("byhand/convolution.py", "dw = rows @ _columns", "dw = np.abs(rows) @ _columns", "test_byhand_cnn.py"),
    ("byhand/convolution.py", 'y += self.parameters["bias"][:, None, None]', "pass", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "_padded(x, self.padding, -np.inf)", "_padded(x, self.padding, 0.0)", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "where=challenger > y", "where=challenger >= y", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "windows[..., i, j] += np.where", "windows[..., i, j] = np.where", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "i * self.kernel + j, where", "j * self.kernel + i, where", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "return windows[:, :, ::stride, ::stride]", "return windows[:, :, ::stride, stride - 1 :: stride]", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "variance * (m / (m - 1))", "variance", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "running += self.momentum * now[name]", "self.buffers[name] = running + self.momentum * now[name]", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "if self._trained and rows.shape[1] < 2:", "if False:", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "1 / np.sqrt(variance + self.eps)", "1 / (np.sqrt(variance) + self.eps)", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "rows - self._n * (dw / m)[:, None]", "rows.copy()", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "rows -= (db / m)[:, None]", "pass", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "        if self._trained:\n            rows = rows", "        if True:\n            rows = rows", "test_byhand_cnn.py"),
    ("byhand/convolution.py", "        if self._trained:\n            self._follow", "        if True:\n            self._follow", "test_byhand_cnn.py"),
    ("byhand/cnn.py", "NORM_MOMENTUM, NORM_EPS)", "0.2, NORM_EPS)", "test_byhand_cnn.py"),
    ("byhand/cnn.py", "[convolution, norm, ReLU()]", "[convolution, ReLU(), norm]", "test_byhand_cnn.py"),
    ("byhand/cnn.py", "norm.training = training", "norm.training = True", "test_byhand_cnn.py"),
    ("byhand/cnn.py", "self.convolutions[0].backward_to_parameters(dlogits)", "pass", "test_byhand_cnn.py"),
    ("core/architecture.py", 'stride = POOL_STRIDE if row == "pool" else 1', "stride = 1", "test_byhand_cnn.py"),
    ("core/architecture.py", '64, "pool", 128, "pool", 256, 256', '64, "pool", 128, "pool", 256, 128', "test_byhand_cnn.py"),
    ("models/cnn.py", "KERNEL, POOL_STRIDE, PADDING)", "KERNEL - 1, POOL_STRIDE, 0)", "test_byhand_cnn.py"),
    ("models/cnn.py", "torch.relu(self.norm(self.convolution(x)))", "self.norm(torch.relu(self.convolution(x)))", "test_byhand_cnn.py"),
]  # fmt: skip


def red(file: str, original: str, fault: str, tests: str) -> bool:
    """Whether the tests fail with the fault in place."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        path = Path(folder) / "src" / "paribus" / file
        text = path.read_text()
        if original not in text:
            sys.exit(f"{file} holds no {original!r}: mend tests/faults.py")
        path.write_text(text.replace(original, fault))
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{tests}"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": f"{folder}/src"},
                capture_output=True,
                check=False,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired:  # a fault that makes a test wait for ever is seen too
            return True
    return done.returncode == 1 and b"FAILED " in done.stdout  # 2 and more: the tests did not run at all


def main() -> None:
    """Plant them all, or those named."""
    chosen = [
        fault for i, fault in enumerate(FAULTS) if all(part in fault[0] or part == str(i) for part in sys.argv[1:2])
    ]
    green = []
    for file, original, fault, tests in chosen:
        caught = red(file, original, fault, tests)
        sys.stdout.write(f"{'red  ' if caught else 'GREEN'} {file}: {original!r} -> {fault!r}\n")
        sys.stdout.flush()
        green += [] if caught else [file]
    sys.stdout.write(f"{len(chosen) - len(green)} of {len(chosen)} faults were caught\n")
    sys.exit(bool(green))


if __name__ == "__main__":
    main()
