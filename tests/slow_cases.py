"""Cases that only `make test-all` runs, because the default suite has another case of the same kind that is cheaper.

Test → its cases (the words in brackets of pytest's name), or the whole test for an empty tuple; the words beside them say what
still guards the kind. Tests that are slow for other reasons carry the mark themselves.
"""

from __future__ import annotations

import pytest

G, J = "tests/gradient/", "tests/jobs/"
#: Test: (its slow cases, what stays in the default suite)
SLOW: dict[str, tuple[tuple[str, ...], str]] = {
    G + "test_sensors.py::test_shading_horizons": (("orthographic",), "horizons seen by perspective cameras, test_smooth_shading"),
    G + "test_pilot.py::test_a_gradient_has_the_variance_predicted": ((), "the best counts, from given variances"),
    G + "test_indirect.py::test_gates": (("panel-low", "spot-high"), "spot-low"),
    G + "test_indirect.py::test_techniques_and_conventions_agree": (("3.0-0.3", "0.3-0.03"), "two pairs of blend distances"),
    G + "test_specular.py::test_chains": (
        ("lamp behind a glass ball", "mirror moves", "box in a mirror"), "a ball behind glass; test_caustics",
    ),
    G + "test_grids.py::test_grids_cameras_and_receivers_move": (("values, no smooth normals",), "camera; creases and silhouettes"),
    G + "test_grids_in_groups.py::test_grids_and_cameras_move": (("pose",), "a twin without a group, values and poses"),
    G + "test_verify.py::test_a_wrong_sign_is_named": ((), "a missing term is named; planted numbers, test_decision"),
    G + "test_verify.py::test_three_per_cent_are_flagged": ((), "the same decision on planted numbers, test_decision"),
    G + "test_verify.py::test_a_dropped_class_of_edges_is_flagged": ((), "a missing term is named"),
    G + "test_verify.py::test_what_the_view_does_not_show": ((), "zeros, test_verify_parts"),
    G + "test_mapped.py::test_texels_and_motion": (("a ball moves", "bump map"), "normal map"),
    G + "test_no_silent_zero.py::test_every_parameter": (
        ("linearcurve", "hair", "sdfgrid", "medium"), "test_curves, test_grids, test_media_coefficients",
    ),
    G + "test_adjoint_sampling.py::test_a_constant_adjoint_changes_nothing": (("1.0-gaussian with border",), "box"),
    G + "test_adjoint_sampling.py::test_the_expectation_is_the_same": (
        ("tent, cropped-a tenth", "tent, cropped-signs", "gaussian with border-signs"), "box; gaussian with a tenth of the film",
    ),
    G + "test_rooms.py::test_a_box_of_rectangles_is_a_box": (("area",), "point"),
    G + "test_twins.py::test_a_hinge_with_a_t_junction": (("30",), "120"),
    G + "test_closed_motion.py::test_form_14_dilation_about_the_camera": ((), "translation and cavity"),
    G + "test_closed_motion.py::test_form_14_roll_about_the_axis": ((), "translation and cavity"),
    G + "test_invariances.py::test_crop_windows": ((), "crop window, test_mitsuba_configurations"),
    G + "test_warp.py::test_filters_against_edge_sampling": ((), "closed forms with box filters; filters, test_invariances"),
    G + "test_closed_interior.py::test_form_6_disc_light": (("rectangle",), "mesh"),
    G + "test_closed_direct.py::test_form_12_moving_receiver_under_a_static_half_plane": (("rectangle",), "mesh"),
    G + "test_closed_direct.py::test_form_7_half_plane_across_a_disc_light": (("mesh",), "rectangle"),
    G + "test_mitsuba_configurations.py::test_configuration": (
        ("shining ball moves", "diffuse rectangle moves under a sky"), "the other configurations",
    ),
    G + "test_mitsuba_configurations.py::test_thresholds_tell": (
        ("diffuse rectangle moves under a sky",), "radiance of an area light",
    ),
    G + "test_matrix_small.py::test_forward_is_the_transpose_of_reverse": (
        ("normal map in a mirror", "grid: values", "ball behind glass"), "box in a mirror, index of a glass ball, grid: camera",
    ),
    G + "test_replay.py::test_replays_are_what_tracing_gives": (
        ("texels and vertices over them", "camera", "interpolated normals"), "vertices, poses, environment",
    ),
    G + "test_depth.py::test_forward_and_reverse_mode": (("-1",), "8"),
    G + "test_texels.py::test_smooth_opacity_moves": ((), "jumps of opacity"),
    G + "test_shapes_meshes.py::test_sheets_that_are_no_surface": (("star-x", "star-z", "wreck-z"), "wreck-x"),
    G + "test_shapes_meshes.py::test_a_box_sunk_into_the_floor": (("z",), "x"),
    G + "test_steps.py::test_no_kernel_is_compiled_after_the_first_steps": (("sphere", "light"), "vertices, camera"),
    G + "test_curves.py::test_moving_curves_receivers_and_cameras": (
        ("linearcurve-curve/control_points-lamp",), "bsplinecurve; receivers and cameras of both",
    ),
    J + "test_poses.py::test_a_point_light": ((), "test_unknown_cameras; lm, test_lm"),
    J + "test_resume.py::test_interrupt_saves_and_exits_130": (("15",), "2"),
    J + "test_resume.py::test_sigkill_at_any_moment": (("41", "17", "2"), "0; another moment, test_interrupt_saves_and_exits_130"),
}  # fmt: skip


def mark(items: list[pytest.Item]) -> None:
    """Mark the cases; UsageError where a file was collected whole and a case is not there any more."""
    names = {item.nodeid for item in items}
    files = {item.nodeid.partition("::")[0] for item in items}
    slow = {f"{test}[{case}]" if case else test for test, (cases, _) in SLOW.items() for case in (cases or ("",))}
    for item in items:
        if item.nodeid in slow:
            item.add_marker(pytest.mark.slow)
    tests = {name.partition("[")[0] for name in names}
    missing = [x for x in slow - names if x.partition("::")[0] in files and x.partition("[")[0] in tests]
    whole = all("::" not in argument for argument in (items[0].config.args if items else []))
    if missing and whole:
        raise pytest.UsageError(f"tests/slow_cases.py names cases that do not exist: {', '.join(sorted(missing))}")
