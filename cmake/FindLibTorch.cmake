# Finds an unpacked LibTorch (the `torch` folder of its wheel, or a libtorch archive) without its own CMake package,
# which for CUDA builds demands a CUDA toolkit.
#
# Input:  GAUNTLET_TORCH_ROOT  the folder that holds lib/libtorch_cpu.so and include/torch
#         GAUNTLET_TORCH_LIBS  further folders with shared libraries it needs (CUDA runtime, CUPTI)
# Output: LibTorch::LibTorch
find_path(LibTorch_INCLUDE torch/csrc/api/include/torch/torch.h PATHS "${GAUNTLET_TORCH_ROOT}/include" NO_DEFAULT_PATH)
find_library(LibTorch_CPU torch_cpu PATHS "${GAUNTLET_TORCH_ROOT}/lib" NO_DEFAULT_PATH)
find_library(LibTorch_C10 c10 PATHS "${GAUNTLET_TORCH_ROOT}/lib" NO_DEFAULT_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS LibTorch_INCLUDE LibTorch_CPU LibTorch_C10)

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  # LibTorch brings the headers of another fmt. A folder that holds only the system's fmt goes before them, so that a
  # program has one.
  find_path(LibTorch_SYSTEM_FMT fmt/core.h PATHS /usr/include NO_DEFAULT_PATH REQUIRED)
  file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/system-fmt")
  file(CREATE_LINK "${LibTorch_SYSTEM_FMT}/fmt" "${CMAKE_BINARY_DIR}/system-fmt/fmt" SYMBOLIC)
  target_include_directories(LibTorch::LibTorch SYSTEM INTERFACE "${CMAKE_BINARY_DIR}/system-fmt"
    "${LibTorch_INCLUDE}" "${LibTorch_INCLUDE}/torch/csrc/api/include")
  target_compile_definitions(LibTorch::LibTorch INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
  target_link_libraries(LibTorch::LibTorch INTERFACE "${LibTorch_CPU}" "${LibTorch_C10}")
  foreach(folder IN LISTS GAUNTLET_TORCH_LIBS)
    target_link_options(LibTorch::LibTorch INTERFACE "-Wl,-rpath-link,${folder}" "-Wl,-rpath,${folder}")
  endforeach()
endif()
