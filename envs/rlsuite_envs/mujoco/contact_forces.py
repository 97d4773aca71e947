"""External forces of the last integration stage, for the tasks that observe them.

Ant and Humanoid observe and pay for `cfrc_ext`, which Gymnasium obtains by calling `mj_rnePostConstraint`
after each step, on the contacts which the step left behind: those of the last Runge-Kutta stage. A batch
loads, steps and saves a simulation inside one C call, so that this stage is gone by the time Python sees the
state, and MuJoCo's own lazy evaluation (a force sensor) runs at the first stage only.

MuJoCo calls the `advance` hook of every engine plugin at the very end of a step, where the data are exactly
those that Gymnasium hands to `mj_rnePostConstraint`, and that function has the hook's signature but for a
trailing argument, which the C calling conventions let a function ignore. So a plugin without state, whose
only hook is the address of `mj_rnePostConstraint`, computes the very same forces within the C thread pool: no
Python per step, no compiler needed, the physics untouched. It costs 2 to 7 per cent of a step.

Source: `mjpPlugin` in MuJoCo's mjplugin.h; `mj_advance` and `mj_RungeKutta` in its engine.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform

import mujoco

__all__ = ["add_contact_forces"]

_NAME = "rlsuite.contact_forces"
_BALL = """
<mujoco>
  <option integrator="RK4"/>
  <worldbody>
    <geom type="plane" size="1 1 1"/>
    <body pos="0 0 0.09"><freejoint/><geom size="0.1"/></body>
  </worldbody>
</mujoco>
"""
_POINTER = ctypes.c_void_p
_NSTATE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, ctypes.c_int)
_INIT = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, ctypes.c_int)


class _Plugin(ctypes.Structure):
    """The C struct `mjpPlugin` up to the hook we set, with room for what follows it in any version."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("nattribute", ctypes.c_int),
        ("attributes", _POINTER),
        ("capabilityflags", ctypes.c_int),
        ("needstage", ctypes.c_int),
        ("nstate", _NSTATE),
        ("nsensordata", _POINTER),
        ("init", _INIT),
        ("destroy", _POINTER),
        ("copy", _POINTER),
        ("reset", _POINTER),
        ("compute", _POINTER),
        ("advance", _POINTER),
        ("rest", _POINTER * 64),
    )


def add_contact_forces(spec: mujoco.MjSpec) -> None:
    """Let every step of the model end with `mj_rnePostConstraint`, so that `cfrc_ext` can be bound.

    Raises:
        RuntimeError: if this MuJoCo does not export what is needed.
    """
    _register()
    _self_test()
    _attach(spec)


def _attach(spec: mujoco.MjSpec) -> None:
    spec.activate_plugin(_NAME)
    spec.add_plugin(name=_NAME, plugin_name=_NAME, active=True)


@functools.cache
def _register() -> _Plugin:
    """Register the plugin, once per process; the result must stay alive as long as the process."""
    library = _library()
    plugin = _Plugin()
    try:
        library.mjp_defaultPlugin(ctypes.byref(plugin))
        plugin.name = _NAME.encode()
        # called when a model is compiled and when its data are made, never within a step
        plugin.nstate = _NSTATE(lambda model, instance: 0)
        plugin.init = _INIT(lambda model, data, instance: 0)
        # required hooks with nothing to do: a function that only reads its first argument, the model
        plugin.reset = plugin.compute = ctypes.cast(library.mj_isSparse, _POINTER)
        plugin.advance = ctypes.cast(library.mj_rnePostConstraint, _POINTER)
        slot = library.mjp_registerPlugin(ctypes.byref(plugin))
    except AttributeError as error:
        raise RuntimeError(_remedy(f"its library does not export {error}")) from error
    if slot < 0:
        raise RuntimeError(_remedy("it refused the plugin that computes contact forces"))
    return plugin


@functools.cache
def _self_test() -> None:
    """Drop a ball, once per process: another version of MuJoCo may lay the struct out otherwise."""
    spec = mujoco.MjSpec.from_string(_BALL)
    _attach(spec)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, nstep=3)
    found = data.cfrc_ext.copy()
    mujoco.mj_rnePostConstraint(model, data)
    if not found.any() or (found != data.cfrc_ext).any():
        raise RuntimeError(_remedy("its plugin hooks are not those of the tested versions"))


def _library() -> ctypes.CDLL:
    """The MuJoCo library this process already uses."""
    if platform.system() == "Windows":
        return ctypes.CDLL(os.path.join(os.path.dirname(mujoco.__file__), "mujoco.dll"))
    # the extension module links to the library; symbols are looked up in what a handle depends on, too
    return ctypes.CDLL(mujoco._functions.__file__)


def _remedy(reason: str) -> str:
    return (
        f"MuJoCo {mujoco.__version__} cannot step Ant and Humanoid in the pool: {reason}. Use another "
        "version of MuJoCo (3.17 is tested), or vectorization='sync'."
    )
