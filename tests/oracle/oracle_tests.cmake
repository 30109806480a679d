# Tests that compare us with other people's Python packages. Each runs its script through run_oracle.sh,
# which skips it, with the reason, where the interpreter or a package is missing.

# The Python that belongs to torch has the other packages too, where anything has.
get_filename_component(oracle_bin ${TORCH_DIR}/../../../../bin ABSOLUTE)
find_program(LIMBECK_PYTHON NAMES python3 python HINTS ${oracle_bin} ${PROJECT_SOURCE_DIR}/.venv/bin
             DOC "Python for the oracles of tests/oracle")

# limbeck_oracle(NAME <name> SCRIPT <file.py> MODULES <python modules...> TOOL <target> [DATA] [MODEL]
# [ARGUMENTS ...]): the test oracle.<name>. The script gets --tool, and --data and --model where asked for.
function(limbeck_oracle)
  cmake_parse_arguments(ORACLE "DATA;MODEL" "NAME;SCRIPT;TOOL" "MODULES;ARGUMENTS" ${ARGN})
  set(arguments --tool $<TARGET_FILE:${ORACLE_TOOL}> ${ORACLE_ARGUMENTS})
  foreach(wish DATA MODEL)
    if(ORACLE_${wish})
      list(APPEND arguments @${wish}@)
    endif()
  endforeach()
  string(REPLACE ";" " " modules "${ORACLE_MODULES}")
  add_test(NAME oracle.${ORACLE_NAME}
           COMMAND sh tests/oracle/run_oracle.sh "${LIMBECK_PYTHON}" "${modules}"
                   tests/oracle/${ORACLE_SCRIPT} ${arguments}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  # Generous: the limit is there for a hang, and a sanitizer build or a busy machine is no hang.
  set_tests_properties(oracle.${ORACLE_NAME} PROPERTIES LABELS oracle TIMEOUT 1800 SKIP_RETURN_CODE 77)
endfunction()

limbeck_oracle(NAME tokenizer SCRIPT tokenizer_oracle.py TOOL tokenize_tool DATA MODEL
               MODULES tokenizers gguf)
limbeck_oracle(NAME template SCRIPT template_oracle.py TOOL template_tool DATA MODEL
               MODULES jinja2 gguf)
limbeck_oracle(NAME logits SCRIPT logits_oracle.py TOOL logits_tool MODEL
               MODULES torch transformers safetensors gguf sentencepiece google.protobuf)
limbeck_oracle(NAME kvc SCRIPT kvc_oracle.py TOOL limbeck MODEL
               MODULES torch safetensors xxhash)
limbeck_oracle(NAME kvpress SCRIPT kvpress_oracle.py TOOL keepset_tool MODEL
               MODULES torch transformers safetensors numpy gguf)
