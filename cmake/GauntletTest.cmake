# A test's own code: a fifth less time to build, and what is tested keeps its options.
set(GAUNTLET_TEST_OPTIONS -O1)

# gauntlet_test_pch(<name> <pch target> <header>): what test programs reuse, on top of what the boxes do.
function(gauntlet_test_pch name base header)
  add_library(${name} STATIC "${PROJECT_SOURCE_DIR}/core/pch.cpp")
  target_link_libraries(${name} PUBLIC ${base} GTest::gmock)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_options(${name} PRIVATE ${GAUNTLET_TEST_OPTIONS})
  target_precompile_headers(${name} PRIVATE "${header}")
endfunction()

# gauntlet_test(<name> USES <box>... [LIBRARIES <target>...] [TORCH] [LABEL <label>])
# One test program per folder: every *_test.cpp beside the calling CMakeLists.txt. Sources are globbed, because here the
# silent mistake is the unlisted file.
function(gauntlet_test name)
  cmake_parse_arguments(TEST "TORCH" "TIMEOUT" "USES;LIBRARIES;LABELS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp")
  add_executable(${name}_tests ${sources})
  list(TRANSFORM TEST_USES PREPEND gauntlet_)
  target_link_libraries(${name}_tests PRIVATE ${TEST_USES} ${TEST_LIBRARIES} gauntlet_test_support gauntlet_warnings)
  target_include_directories(${name}_tests PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_definitions(${name}_tests PRIVATE GAUNTLET_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    GAUNTLET_BINARY_DIR="${PROJECT_BINARY_DIR}")
  target_compile_options(${name}_tests PRIVATE ${GAUNTLET_TEST_OPTIONS})
  if(TEST_TORCH)
    target_link_libraries(${name}_tests PRIVATE LibTorch::LibTorch)
    target_precompile_headers(${name}_tests REUSE_FROM gauntlet_torch_tests_pch)
  else()
    target_precompile_headers(${name}_tests REUSE_FROM gauntlet_tests_pch)
  endif()
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 600)
  endif()
  add_test(NAME ${name} COMMAND ${name}_tests)
  set_tests_properties(${name} PROPERTIES TIMEOUT ${TEST_TIMEOUT} LABELS "${TEST_LABELS}")
endfunction()
