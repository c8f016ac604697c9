"""Tests of which a sample runs by default, as the whole takes too long; `-m slow` runs the others.

A file's expression finds what is left to the slow runs: further edits, encoders and data sets of a
test that runs some, and whole commands whose parts have tests of their own.
"""

import re

SLOW = {
    "test_analysis.py": r"test_an_edit\w*\[(?!added_option|group_norm)",
    "test_edits.py": r"test_export_sees_it\[(?!added_option|pyramid_subclass)"
    r"|test_(a_checkpoint_keeps_it\w*|the_count_of_operations_sees_it)"
    r"\[(?!added_option|aspp|forward_hook|pyramid_subclass|group_norm|gelu)",
    "test_sweep.py": r"test_each_sweep\w*\[(bins|context|dilation|table[24])",
    "test_network_copy.py": r"test_an_edit_between\w*\[(other_activation|no_norm|widen|buffer)",
    "test_initial_config.py": r"test_a_checkpoint_from_python_predicts",
    "test_encoder.py": r"test_the_files_that\w*\[semseg",
    "test_walk_record.py": r"test_the_input_is_one\w*\[(mmseg-ms|paper-ss)",
    "test_dilation.py": r"test_other_families\w*\[(efficientnet|tu-(tf_)?eff)"
    r"|test_half_layout\w*\[(?!resnet18|tu-regnetx_002)|.*\[tu-resnet269s"
    r"|test_strided_layers_of_every_kind_can_stay\[(?!eff)|.*\[densenet121"
    r"|test_layout_by_block\w*\[.*layout[14-6]",
    "test_variants.py": r"test_unedited\w*\[(?!tu-resnet10t)|test_costs_against\w*\[bins0",
    "test_layer_table.py": r"test_sums_are_those_of_the_network\[(?!resnet18|tu-convnext_atto)",
    "test_receptive_field.py": r".*\[vgg11",
    "test_conv_bn_fusion.py": r".*\[(vgg16_bn|densenet121)",
    "test_activation_recompute.py": r"test_every\w*\[(resnet18-2-True|vgg16_bn|tu-resnet50s)",
    "test_ablation_report.py": r"test_(different_protocols|fewer_pairs|a_run_without|the_papers)",
    "test_benchmark_main.py": r"test_what_reliability_costs|test_the_full_form",
    "test_confusion_matrix.py": r".*\[ade20k",
    "test_iou_bars.py": r".*\[ade20k",
    "test_iou_losses.py": r".*\[ade20k",
    "test_memory_formats.py": r"",
    "test_peak_memory.py": r"test_a_killed",
    "test_published_network.py": r"test_logits_loss\w*\[(True-\(2|False-\((\)|2))",
    "test_sliding_window.py": r"test_the_class_map\w*\[\((40|70)",
    "test_weights_file.py": r"test_damaged_values\w*\[(?!.*-nan).*mmsegmentation",
    "test_convert.py": r"test_the_data_set_follows\w*\[(11|19|150)"
    r"|test_names_colors\w*\[0|test_it_is_scored\w*\[test",
    "test_sequential.py": r"test_all_looks\w*\[3",
    "test_pyramid_parts.py": r"test_ablated\w*\[size1",
    "test_run_state.py": r"test_a_run_with_a_later\w*\[(2-([27]|10)|1.0-[257]$)",
    "test_pspnet.py": r"test_logits_have_the_size_of_the_image\[size\d-vgg16_bn",
    "test_load.py": r".*\[(\w+-)?(101|152|bare|prefixed)|test_the_crop_size\w*\[(21|40|150)\]",
    "test_encoder_weights.py": r"test_an_encoder_refuses\w*\[(101|50-tu-resnet101s)",
    "test_caffe.py": r"test_the_101s",
    "test_equality.py": r".*\[mmsegmentation-18b|test_the_caffe_release",
    "test_invariance.py": r"test_one_process\[.*accumulated=2|test_a_resumed_run_may",
    "test_sweep_trainings.py": r".*\[dilation",
    "test_hub.py": r"test_pushed_and_loaded",
    "test_cli.py": r"test_(calibration_is_stored|a_damaged_training|a_training_ends_early"
    r"|the_best_checkpoint_is_evaluated|predictions_follow_the_protocol"
    r"|precision_is_the_hardwares\w*\[given1|wrong_files|a_protocol_is_chosen)",
    "test_class_scores.py": r"test_the_papers_protocols\w*\[(larger|the crop|portrait)-paper-ms",
    "test_export.py": r"test_a_file_of_one_size|test_what_cannot_be_exported\w*\[value",
}


def is_slow(file: str, test: str) -> bool:
    """Return whether a test, with its parameters, is left to the slow runs."""
    return file in SLOW and re.match(SLOW[file], test) is not None
