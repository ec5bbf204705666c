# Finds an unpacked LibTorch (the `torch` folder of its wheel, or a libtorch archive) without its own CMake package,
# which for CUDA builds demands a CUDA toolkit.
#
# Input:  GAUNTLET_TORCH_ROOT  the folder that holds lib/libtorch_cpu.so and include/torch
#         GAUNTLET_TORCH_LIBS  further folders with shared libraries it needs (CUDA runtime, CUPTI)
#         GAUNTLET_DEVICE      cuda: also what talks to GPUs, from the NVIDIA wheels in ../nvidia beside the root; their
#                              headers are enough, no toolkit and no driver
# Output: LibTorch::LibTorch, and with GAUNTLET_DEVICE=cuda LibTorch::Cuda
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

if(LibTorch_FOUND AND GAUNTLET_DEVICE STREQUAL "cuda" AND NOT TARGET LibTorch::Cuda)
  set(nvidia "${GAUNTLET_TORCH_ROOT}/../nvidia")
  find_library(LibTorch_CUDA torch_cuda PATHS "${GAUNTLET_TORCH_ROOT}/lib" NO_DEFAULT_PATH REQUIRED)
  find_library(LibTorch_C10_CUDA c10_cuda PATHS "${GAUNTLET_TORCH_ROOT}/lib" NO_DEFAULT_PATH REQUIRED)
  find_path(LibTorch_NCCL_INCLUDE nccl.h PATHS "${nvidia}/nccl/include" NO_DEFAULT_PATH REQUIRED)
  find_path(LibTorch_CUDA_INCLUDE cuda_runtime.h PATHS "${nvidia}/cu13/include" NO_DEFAULT_PATH REQUIRED)
  # The wheels hold no names without a version.
  find_library(LibTorch_NCCL NAMES libnccl.so.2 PATHS "${nvidia}/nccl/lib" NO_DEFAULT_PATH REQUIRED)
  find_library(LibTorch_CUDART NAMES libcudart.so.13 PATHS "${nvidia}/cu13/lib" NO_DEFAULT_PATH REQUIRED)
  add_library(LibTorch::Cuda INTERFACE IMPORTED)
  target_include_directories(LibTorch::Cuda SYSTEM INTERFACE "${LibTorch_NCCL_INCLUDE}" "${LibTorch_CUDA_INCLUDE}")
  target_compile_definitions(LibTorch::Cuda INTERFACE USE_C10D_NCCL)
  target_link_libraries(LibTorch::Cuda INTERFACE LibTorch::LibTorch "${LibTorch_CUDA}" "${LibTorch_C10_CUDA}"
    "${LibTorch_NCCL}" "${LibTorch_CUDART}")
endif()
