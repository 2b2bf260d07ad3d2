#!/usr/bin/env python3
"""Records what dm_control itself does, for the parity tests of actors/control.

Needs dm_control==1.0.50 and mujoco==3.17.0 in a virtual environment, and the zstd program:

    python3 -m venv VENV && VENV/bin/pip install mujoco==3.17.0 dm_control==1.0.50
    VENV/bin/python record.py data && zstd -19 --rm data/*.bin

Two files a task, in the format of actors/control/recording.h: TASK.bin holds trajectories with random
actions from explicit starts that were picked for their reward, TASK.starts.bin the starts (no
steps) of seeds 0 to 5, first and second episode of each.
"""

import pathlib
import sys

import numpy as np
from absl import logging
from dm_control import suite
from dm_control.rl import control

MAGIC, VERSION = 0x474D5544, 1
STEPS = 200
SMALL_ROW = 15  # numbers a step, up to which there are two episodes
ACTION_BOUND, ACTION_GRID = 1.25, 256  # some are beyond [-1, 1]; few bits pack better
CANDIDATES = 200
SEEDS = range(6)
FIELDS = ['body_pos', 'body_quat', 'geom_pos', 'geom_size', 'site_pos', 'site_size',
          'dof_damping', 'wrap_prm', 'light_pos']
TASKS = {
    'cartpole': ['balance', 'balance_sparse', 'swingup', 'swingup_sparse'],
    'acrobot': ['swingup', 'swingup_sparse'],
    'reacher': ['easy', 'hard'],
    'manipulator': ['bring_ball', 'bring_peg', 'insert_ball', 'insert_peg'],
    'cheetah': ['run'],
    'humanoid': ['stand', 'walk', 'run', 'run_pure_state'],
    'walker': ['stand', 'walk', 'run'],
    'hopper': ['stand', 'hop'],
    'finger': ['spin', 'turn_easy', 'turn_hard'],
    'ball_in_cup': ['catch'],
    'pendulum': ['swingup'],
    'point_mass': ['easy', 'hard'],
    'fish': ['upright', 'swim'],
    'swimmer': ['swimmer6', 'swimmer15'],
}


def tasks():
  return [(domain, task) for domain, names in TASKS.items() for task in names]


def pristine(env):
  return [np.array(getattr(env.physics.model, field)).ravel() for field in FIELDS]


def edits(env, before):
  """Triples for all cells of the model that differ from the loaded one."""
  out = []
  for number, (field, old) in enumerate(zip(FIELDS, before)):
    new = np.array(getattr(env.physics.model, field)).ravel()
    for index in np.flatnonzero(new != old):
      out += [number, index, new[index]]
  return [len(out) / 3] + out


def flat(observation):
  parts = [np.asarray(v, np.float64).ravel() for v in observation.values()]
  return np.concatenate(parts)


def set_state(physics, qpos, qvel):
  with physics.reset_context():
    physics.data.qpos[:] = qpos
    physics.data.qvel[:] = qvel


def candidate(env, random):
  """A start of the task's own, or near the model's reference pose; velocities up to wild ones."""
  physics = env.physics
  env.reset()
  qpos, qvel = physics.data.qpos.copy(), physics.data.qvel.copy()
  if random.uniform() < 0.4:
    for joint, kind in enumerate(physics.model.jnt_type):
      address = physics.model.jnt_qposadr[joint]
      if kind >= 2:  # slide, hinge
        qpos[address] = physics.model.qpos0[address] + 0.03 * random.normal()
      else:
        qpos[address:address + 7] = physics.model.qpos0[address:address + 7]
  if random.uniform() < 0.7:
    qvel += random.choice([0.1, 1, 5, 20]) * random.normal(size=qvel.size)
  set_state(physics, qpos, qvel)
  return qpos, qvel


def score(env):
  """Reward of a few steps without action; rewards that change tell more than constant ones."""
  try:
    rewards = [env.step(np.zeros(env.physics.model.nu)).reward for _ in range(5)]
  except control.PhysicsError:
    return -1
  return sum(rewards) * (1.0 if np.ptp(rewards) > 0 else 0.5)


def best_start(env, random):
  """The candidate of highest reward, with its edits in the model: chance sees few rewards."""
  model, best = env.physics.model, None
  for _ in range(CANDIDATES):
    qpos, qvel = candidate(env, random)
    value = score(env)
    if best is None or value > best[0]:
      best = (value, qpos, qvel, [np.array(getattr(model, field)) for field in FIELDS])
  for field, cells in zip(FIELDS, best[3]):
    getattr(model, field)[:] = cells
  return best[1], best[2]


def record(env, qpos, qvel, random):
  """One episode from a given state: the numbers behind its edits."""
  physics = env.physics
  set_state(physics, qpos, qvel)
  actions = random.uniform(-ACTION_BOUND, ACTION_BOUND, (STEPS, physics.model.nu))
  actions = np.round(actions * ACTION_GRID) / ACTION_GRID
  rows = [(physics.data.qpos.copy(), physics.data.qvel.copy(),
           flat(env.task.get_observation(physics)), 0.0)]
  for action in actions:
    step = env.step(action)
    rows.append((physics.data.qpos.copy(), physics.data.qvel.copy(),
                 flat(step.observation), step.reward))
  columns = [np.concatenate([np.atleast_1d(row[c]) for row in rows]) for c in range(4)]
  return np.concatenate([actions.ravel()] + columns), columns[3][1:]


def write(path, env, episodes, steps, body):
  m = env.physics.model
  nobs = flat(env.task.get_observation(env.physics)).size
  header = [MAGIC, VERSION, episodes, steps, m.nq, m.nv, m.nu, nobs, env._n_sub_steps,
            m.opt.integrator]
  np.concatenate([header] + body).astype('<f8').tofile(path)


def record_task(domain, task, folder):
  name = f'{domain}_{task}'
  random = np.random.RandomState(sum(name.encode()))
  env = suite.load(domain, task, task_kwargs={'random': 100})
  before = pristine(env)
  m = env.physics.model
  nobs = sum(int(np.prod(spec.shape)) for spec in env.observation_spec().values())
  episodes = 2 if m.nq + m.nv + m.nu + nobs <= SMALL_ROW else 1
  body = []
  for _ in range(episodes):
    qpos, qvel = best_start(env, random)
    numbers, rewards = record(env, qpos, qvel, random)
    body += [edits(env, before), numbers]
    print(f'{name}: reward {rewards.min():g} to {rewards.max():g}')
  write(folder / f'{name}.bin', env, episodes, STEPS, body)

  body = []
  for seed in SEEDS:
    env = suite.load(domain, task, task_kwargs={'random': seed})
    before = pristine(env)
    for _ in range(2):
      first = env.reset()
      data = env.physics.data
      body += [edits(env, before), data.qpos.copy(), data.qvel.copy(), flat(first.observation),
               [0.0]]
  write(folder / f'{name}.starts.bin', env, 2 * len(SEEDS), 0, body)


def main():
  logging.set_verbosity(logging.ERROR)  # candidates that blow up are of no interest
  folder = pathlib.Path(sys.argv[1])
  folder.mkdir(parents=True, exist_ok=True)
  for domain, task in tasks():
    if len(sys.argv) > 2 and f'{domain}_{task}' not in sys.argv[2:]:
      continue
    record_task(domain, task, folder)


if __name__ == '__main__':
  main()
