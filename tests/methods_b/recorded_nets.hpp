// DRFGD's networks in the sizes of a recorded case: widths, numbers of stages, labels and the canvas are read
// off its tensors.
#pragma once

#include <string>

#include "core/defenses/detail/drfgd_generator.hpp"
#include "core/models/discriminators.hpp"
#include "tests/methods_b/support.hpp"

namespace gauntlet::defenses {

/// Sizes of the recorded parameters of one network; `prefix` is "" or, in cases with two networks, "gen." or
/// "dis.".
class RecordedSizes {
 public:
  RecordedSizes(const Case& recorded, std::string prefix)
      : recorded_(recorded), prefix_("param." + std::move(prefix)) {}
  [[nodiscard]] bool has(const std::string& name) const { return recorded_.has(prefix_ + name); }
  [[nodiscard]] std::int64_t operator()(const std::string& name, std::int64_t dimension) const {
    return recorded_[prefix_ + name].size(dimension);
  }

 private:
  const Case& recorded_;
  std::string prefix_;
};

inline std::shared_ptr<Generator> text_generator_of(const Case& recorded, const std::string& prefix,
                                                    TextOutput output) {
  const RecordedSizes size(recorded, prefix);
  const std::int64_t text_dim = size("enc.fc1.weight", 1);
  return make_text_generator({.text_dim = text_dim,
                              .n_labels = size("cls.fc.weight", 0),
                              .hidden = size("enc.fc1.weight", 0),
                              .bottleneck = size("enc.fc2.weight", 0),
                              .branch = size("arf.fc.weight", 0),
                              .output = output,
                              .skips = size("residual.fc.weight", 1) == 2 * text_dim,
                              .has_avf = size.has("avf.fc.weight")});
}

inline std::shared_ptr<models::Discriminator> text_discriminator_of(const Case& recorded,
                                                                    const std::string& prefix,
                                                                    models::TextDiscriminator form) {
  const RecordedSizes size(recorded, prefix);
  return models::make_text_discriminator(size("disc1.fc.weight", 1), size("disc1.fc.weight", 0),
                                         size("disc2.fc.weight", 0), form, size("disc3.fc.weight", 0));
}

inline std::shared_ptr<models::Discriminator> image_discriminator_of(const Case& recorded,
                                                                     const std::string& prefix) {
  const RecordedSizes size(recorded, prefix);
  models::ImageDiscriminatorLayout layout{.n_stages = 0,
                                          .width = size("disc1.conv.weight", 0),
                                          .head_kernel = size("dischead.conv.weight", 2),
                                          .n_outputs = size("dischead.conv.weight", 0)};
  while (size.has(fmt::format("disc{}.conv.weight", layout.n_stages + 1))) ++layout.n_stages;
  return models::make_image_discriminator(layout);
}

inline std::shared_ptr<Generator> image_generator_of(const Case& recorded, const std::string& prefix,
                                                     collective::Communicator* communicator) {
  const RecordedSizes size(recorded, prefix);
  const auto layout = image_layout(recorded["in.coarse"].size(3) * recorded["in.tile"].size(3));
  EXPECT_TRUE(layout) << (layout ? "" : layout.error().message);
  return make_image_generator({.layout = *layout,
                               .width = size("e1.conv.weight", 0),
                               .n_labels = size("cls.fc.weight", 0),
                               .skips = size("residual.conv.weight", 1) == 6,
                               .has_avf = size.has("avf.conv1.weight")},
                              communicator);
}

/// in.<name>, every value repeated over a square of `side`.
inline torch::Tensor enlarged(const Case& recorded, const std::string& name, std::int64_t side) {
  return recorded["in." + name].repeat_interleave(side, 2).repeat_interleave(side, 3);
}

/// Cases keep pictures as n[y, x] = coarse[y / t, x / t] + tile[y % t, x % t] with t = the tile's side.
inline torch::Tensor picture_of(const Case& recorded) {
  const torch::Tensor coarse = recorded["in.coarse"], tile = recorded["in.tile"];
  return enlarged(recorded, "coarse", tile.size(3)) + tile.repeat({1, 1, coarse.size(2), coarse.size(3)});
}

}  // namespace gauntlet::defenses
