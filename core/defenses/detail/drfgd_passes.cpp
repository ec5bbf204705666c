#include "core/defenses/detail/drfgd_passes.hpp"

namespace gauntlet::defenses {

Generated generate(Generator& generator, const torch::Tensor& input, Pass pass, models::Precision precision) {
  Generated made;
  {
    const models::PrecisionScope scope(precision, input.device().type());
    made = generator.forward(input, pass);
  }
  for (torch::Tensor* part :
       {&made.f, &made.z_arf, &made.z_avf, &made.logits_arf, &made.logits_avf, &made.p, &made.output}) {
    if (part->defined()) *part = part->to(input.scalar_type());
  }
  return made;
}

torch::Tensor judge(models::Discriminator& discriminator, const torch::Tensor& input,
                    models::Precision precision) {
  const models::PrecisionScope scope(precision, input.device().type());
  return discriminator.forward(input).to(input.scalar_type());
}

}  // namespace gauntlet::defenses
