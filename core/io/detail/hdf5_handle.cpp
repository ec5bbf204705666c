#include "core/io/detail/hdf5_handle.hpp"

namespace gauntlet::io::detail {
namespace {

herr_t take_first(unsigned at, const H5E_error2_t* error, void* text) {
  if (at == 0 && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

}  // namespace

void start_hdf5() {
  static const bool started = [] {
    H5open();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    H5PLset_loading_state(0);
    return true;
  }();
  static_cast<void>(started);
}

std::mutex& hdf5_mutex() {
  static std::mutex mutex;
  return mutex;
}

std::string hdf5_words() {
  std::string words = "libhdf5 gives no reason";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, &take_first, &words);
  H5Eclear2(H5E_DEFAULT);
  return words;
}

}  // namespace gauntlet::io::detail
